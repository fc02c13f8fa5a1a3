package podnet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/containernetworking/cni/pkg/invoke"
	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/cni/pkg/version"
	"github.com/mascri/mascri/spec"
)

const (
	// maxOutput bounds what is kept of a plugin's stdout and stderr, each.
	maxOutput = 1 << 20
	// pipeDelay is how long, after a plugin ended, a process it left behind
	// may hold its output open.
	pipeDelay = 2 * time.Second
	// busyRetries and busyDelay bound the wait for a plugin that is being
	// written just now: execve(2) answers ETXTBSY.
	busyRetries = 20
	busyDelay   = 50 * time.Millisecond
)

// executor runs plugins for libcni. Unlike libcni's own it bounds each run,
// ends what the plugin started along with it, bounds its output, and reads the
// steps that a plugin reports on stderr.
type executor struct {
	version.PluginDecoder
	timeout time.Duration
	log     *slog.Logger
	observe func(verb, plugin string, took time.Duration, err error)
}

// FindInPath finds a plugin's file (section 3, "search path").
func (e *executor) FindInPath(plugin string, paths []string) (string, error) {
	file, err := invoke.FindInPath(plugin, paths)
	if err != nil {
		return "", fmt.Errorf("plugin %s is not in %v: %w", plugin, paths, err)
	}
	return file, nil
}

// ExecPlugin runs the plugin with the configuration on stdin and returns its
// stdout. A plugin that exits with an error gives a *types.Error.
func (e *executor) ExecPlugin(ctx context.Context, file string, stdin []byte, environ []string) ([]byte, error) {
	var stdout []byte
	command := describe(file, environ)
	begin := time.Now()
	err := spec.Do(ctx, "podnet", command, func() (err error) {
		stdout, err = e.run(ctx, file, stdin, environ)
		return err
	})
	if e.observe != nil {
		e.observe(lookUp(environ, "CNI_COMMAND"), filepath.Base(file), time.Since(begin), err)
	}
	return stdout, err
}

func (e *executor) run(ctx context.Context, file string, stdin []byte, environ []string) ([]byte, error) {
	bounded, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	for i := 0; ; i++ {
		var stdout, stderr limitedBuffer
		c := exec.CommandContext(bounded, file)
		c.Env = append(environ, spec.TraceEnv+"=1")
		c.Stdin, c.Stdout, c.Stderr = bytes.NewReader(stdin), &stdout, &stderr
		c.WaitDelay = pipeDelay
		isolate(c)
		err := runLocked(c)
		e.readStderr(ctx, file, stderr.bytes())
		switch {
		case err == nil, errors.Is(err, exec.ErrWaitDelay): // the plugin itself succeeded
			return stdout.bytes(), nil
		case errors.Is(err, syscall.ETXTBSY) && i < busyRetries && sleep(bounded, busyDelay):
			continue
		case ctx.Err() != nil:
			return nil, fmt.Errorf("plugin %s was killed: %w", filepath.Base(file), context.Cause(ctx))
		case bounded.Err() != nil:
			return nil, fmt.Errorf("plugin %s did not finish within %s and was killed: %w", filepath.Base(file), e.timeout, bounded.Err())
		}
		return nil, pluginError(file, err, stdout.bytes(), stderr.bytes())
	}
}

// runLocked runs the command from a thread that lives as long as the command:
// the death signal that isolate asks for comes with the end of the thread that
// started it (prctl(2), PR_SET_PDEATHSIG).
func runLocked(c *exec.Cmd) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return c.Run()
}

// sleep waits for d and tells whether the context still runs.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// readStderr hands the steps on stderr to the context's trace and logs the
// rest, which section 5 leaves to plugins for their own logs.
func (e *executor) readStderr(ctx context.Context, file string, stderr []byte) {
	for line := range bytes.Lines(stderr) {
		line = bytes.TrimRight(line, "\n")
		if step, ok := spec.ParseStep(line); ok {
			spec.Report(ctx, step)
		} else if len(line) > 0 {
			e.log.Info("plugin says", "plugin", filepath.Base(file), "line", string(line))
		}
	}
}

// pluginError is the error object that a plugin printed (section 5, "Error"),
// or one in its place that says what it did instead.
func pluginError(file string, err error, stdout, stderr []byte) error {
	object := &types.Error{Code: types.ErrInternal}
	if len(bytes.TrimSpace(stdout)) == 0 {
		object.Msg = fmt.Sprintf("plugin %s ended without an error object: %v", filepath.Base(file), err)
		object.Details = lastLines(stderr)
		return object
	}
	if jsonErr := json.Unmarshal(stdout, object); jsonErr != nil {
		return &types.Error{
			Code:    types.ErrDecodingFailure,
			Msg:     fmt.Sprintf("plugin %s: %v, and its output is no error object", filepath.Base(file), err),
			Details: lastLines(stdout),
		}
	}
	if object.Msg == "" {
		object.Msg = fmt.Sprintf("plugin %s: %v", filepath.Base(file), err)
	}
	return object
}

// lastLines is the end of an output, for an error message.
func lastLines(output []byte) string {
	const enough = 500
	output = bytes.TrimSpace(output)
	if len(output) > enough {
		output = output[len(output)-enough:]
	}
	return strings.ToValidUTF8(string(output), "?")
}

// describe is the command line that would do the same as running a plugin with
// the environment.
func describe(file string, environ []string) string {
	var words []string
	for _, key := range []string{"CNI_COMMAND", "CNI_CONTAINERID", "CNI_IFNAME", "CNI_NETNS"} {
		if value := lookUp(environ, key); value != "" {
			words = append(words, key+"="+value)
		}
	}
	return strings.Join(append(words, file), " ")
}

// lookUp is os.Getenv for another environment. Of two, the last one counts, as
// for os/exec.
func lookUp(environ []string, key string) (value string) {
	for _, pair := range environ {
		if text, ok := strings.CutPrefix(pair, key+"="); ok {
			value = text
		}
	}
	return value
}

// limitedBuffer keeps the first maxOutput bytes and drops the rest, so that the
// writer never blocks and never fills the memory.
type limitedBuffer struct {
	kept bytes.Buffer // not embedded: io.Copy would go around Write by ReadFrom
}

func (b *limitedBuffer) Write(p []byte) (int, error) {
	room := maxOutput - b.kept.Len()
	// bytes.Buffer never returns an error.
	_, _ = b.kept.Write(p[:min(room, len(p))])
	return len(p), nil
}

func (b *limitedBuffer) bytes() []byte { return b.kept.Bytes() }
