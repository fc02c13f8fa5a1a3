package spec

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/containernetworking/cni/pkg/types"
	current "github.com/containernetworking/cni/pkg/types/100"
)

// This file does what the library's pkg/invoke does for a plugin that
// delegates. That package links net/http and OpenTelemetry: 2 MB more to load
// at every start of every plugin.

// delegateTimeout bounds one execution of a delegated plugin; busyRetries and
// busyDelay bound the wait for a binary that is just being replaced (ETXTBSY).
const (
	delegateTimeout = 60 * time.Second
	busyRetries     = 5
	busyDelay       = 100 * time.Millisecond
)

// Delegate executes another plugin, found in CNI_PATH, with this request's
// whole configuration and environment and the given command (section 4), or
// calls it where the program found is linked to this one (Plugin.Linked). The
// result is nil for every command but ADD. An ADD that fails is followed by
// the delegate's DEL, as section 4 asks, unless it failed because the attachment
// has an address. The plugin's stderr is passed on.
func (r *Request) Delegate(ctx context.Context, command, pluginType string) (*current.Result, error) {
	if err := CheckName(pluginType); err != nil {
		return nil, Errorf(InvalidConfig, "type of the plugin to delegate to %w", err)
	}
	if len(r.Path) == 0 {
		return nil, Errorf(InvalidEnv, "CNI_PATH is empty: it must name the directory that plugin %q is in", pluginType)
	}
	path, err := find(pluginType, r.Path)
	if err != nil {
		code := InvalidConfig
		if command == "STATUS" { // section 5, "Error": an ADD cannot be served
			code = NotAvailable
		}
		return nil, Errorf(code, "%w: install the plugin there, or correct its type in network %q", err, r.Name)
	}
	out, err := r.execute(ctx, path, command)
	if command != "ADD" {
		return nil, err
	}
	if err == nil {
		return r.delegatedResult(out)
	}
	if strings.Contains(err.Error(), duplicateAllocation) {
		return nil, err
	}
	if _, undo := r.execute(context.WithoutCancel(ctx), path, "DEL"); undo != nil {
		r.Logf("%s DEL after its failed ADD: %v", pluginType, undo)
	}
	return nil, err
}

// duplicateAllocation is in the error of host-local, the reference's and ours,
// for an attachment that holds an address already: a DEL after it would release
// the address of a container that lives.
const duplicateAllocation = "duplicate allocation is not allowed"

// find looks a plugin up in the directories of CNI_PATH.
func find(plugin string, dirs []string) (string, error) {
	for _, dir := range dirs {
		path := filepath.Join(dir, plugin)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path, nil
		}
	}
	return "", fmt.Errorf("failed to find plugin %q in path %s", plugin, dirs)
}

// delegatedResult reads a delegate's result. One without a version is in the
// configuration's (https://github.com/containernetworking/cni/issues/895).
func (r *Request) delegatedResult(out []byte) (*current.Result, error) {
	var head struct {
		CNIVersion string `json:"cniVersion"`
	}
	if err := json.Unmarshal(out, &head); err != nil {
		return nil, Errorf(Decode, "the delegated plugin printed no result but %q: %w", out, err)
	}
	if head.CNIVersion == "" {
		head.CNIVersion = r.Version
	}
	result, err := readResult(head.CNIVersion, out)
	if err != nil {
		return nil, Errorf(Decode, "read the delegated plugin's result: %w", err)
	}
	return result, nil
}

// execute runs the delegate once, or again while its binary is being replaced.
func (r *Request) execute(ctx context.Context, path, command string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, delegateTimeout)
	defer cancel()
	if r.linked.is(path) {
		return r.linked.call(ctx, r, path, command)
	}
	for try := 1; ; try++ {
		out, err := r.start(ctx, path, command)
		if !errors.Is(err, syscall.ETXTBSY) || try == busyRetries {
			return out, err
		}
		select {
		case <-ctx.Done():
			return nil, Errorf(TryAgain, "start %s: %w", path, ctx.Err())
		case <-time.After(busyDelay):
		}
	}
}

// start runs the plugin and returns what it printed. Config and result pass
// through the pipes in this goroutine: a plugin reads all of stdin before it
// answers, and every further goroutine is a thread to start.
func (r *Request) start(ctx context.Context, path, command string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, path)
	cmd.Env = r.environment(command)
	cmd.Stderr = r.stderr
	dieWithCaller(cmd)
	stdin, inErr := cmd.StdinPipe()
	stdout, outErr := cmd.StdoutPipe()
	if err := errors.Join(inErr, outErr); err != nil {
		return nil, fmt.Errorf("start %s: %w", path, err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", path, err)
	}
	// A grandchild may hold the pipe long after the plugin was killed.
	defer context.AfterFunc(ctx, func() { stdout.Close() })() // what matters is that reading ends
	_, writeErr := stdin.Write(r.Config)
	out, readErr := readAll(stdin, stdout)
	err := cmd.Wait()
	if ctx.Err() != nil {
		return nil, Errorf(TryAgain, "%s %s was stopped: %w", path, command, ctx.Err())
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil, pluginError(path, out, exit)
	}
	if errors.Is(writeErr, syscall.EPIPE) { // it did not want to know
		writeErr = nil
	}
	if err := errors.Join(err, writeErr, readErr); err != nil {
		return nil, fmt.Errorf("talk to %s: %w", path, err)
	}
	return out, nil
}

// readAll ends the input and reads the whole output.
func readAll(stdin io.Closer, stdout io.Reader) ([]byte, error) {
	closeErr := stdin.Close()
	out, err := io.ReadAll(io.LimitReader(stdout, maxConfig))
	return out, errors.Join(closeErr, err)
}

// environment is the caller's with CNI_COMMAND replaced.
func (r *Request) environment(command string) []string {
	env := make([]string, 0, len(r.env)+1)
	for _, pair := range r.env {
		if !strings.HasPrefix(pair, "CNI_COMMAND=") {
			env = append(env, pair)
		}
	}
	return append(env, "CNI_COMMAND="+command)
}

// pluginError reads the error object that a failed plugin should have printed.
func pluginError(path string, stdout []byte, exit error) error {
	var e types.Error
	if len(bytes.TrimSpace(stdout)) == 0 {
		return fmt.Errorf("plugin %s ended without an error object: %w", path, exit)
	}
	if err := json.Unmarshal(stdout, &e); err != nil || e.Msg == "" {
		return Errorf(Decode, "plugin %s ended with %w and printed no error object but %q", path, exit, stdout)
	}
	return &e
}
