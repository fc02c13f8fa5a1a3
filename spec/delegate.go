package spec

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/containernetworking/cni/pkg/invoke"
	"github.com/containernetworking/cni/pkg/types"
	current "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/cni/pkg/version"
)

// delegateTimeout bounds one execution of a delegated plugin; busyRetries and
// busyDelay bound the wait for a binary that is just being replaced (ETXTBSY).
const (
	delegateTimeout = 60 * time.Second
	busyRetries     = 5
	busyDelay       = 100 * time.Millisecond
)

// Delegate executes another plugin, found in CNI_PATH, with this request's
// whole configuration and environment and the given command (section 4). The
// result is nil for every command but ADD. An ADD that fails is followed by
// the delegate's DEL, as section 4 asks. The plugin's stderr is passed on.
func (r *Request) Delegate(ctx context.Context, command, pluginType string) (*current.Result, error) {
	if err := CheckName(pluginType); err != nil {
		return nil, Errorf(InvalidConfig, "type of the plugin to delegate to %w", err)
	}
	if len(r.Path) == 0 {
		return nil, Errorf(InvalidEnv, "CNI_PATH is empty: it must name the directory that plugin %q is in", pluginType)
	}
	path, err := invoke.FindInPath(pluginType, r.Path)
	if err != nil {
		return nil, Errorf(InvalidConfig, "%w: install the plugin there, or correct its type in network %q", err, r.Name)
	}
	if command != "ADD" {
		return nil, r.execute(ctx, path, command)
	}
	result, err := invoke.ExecPluginWithResult(ctx, path, r.Config, environ(r.env).with(command), &executor{r: r})
	if err == nil {
		return current.NewResultFromResult(result)
	}
	if undo := r.execute(context.WithoutCancel(ctx), path, "DEL"); undo != nil {
		r.Logf("%s DEL after its failed ADD: %v", pluginType, undo)
	}
	return nil, err
}

func (r *Request) execute(ctx context.Context, path, command string) error {
	return invoke.ExecPluginWithoutResult(ctx, path, r.Config, environ(r.env).with(command), &executor{r: r})
}

// environ is a process environment as invoke wants it.
type environ []string

func (e environ) AsEnv() []string { return e }

// with returns the environment with CNI_COMMAND replaced.
func (e environ) with(command string) environ {
	out := make(environ, 0, len(e)+1)
	for _, pair := range e {
		if !strings.HasPrefix(pair, "CNI_COMMAND=") {
			out = append(out, pair)
		}
	}
	return append(out, "CNI_COMMAND="+command)
}

// executor is invoke's way to start a plugin, with a bound that also holds
// when a grandchild keeps the pipes open.
type executor struct {
	r *Request
	version.PluginDecoder
}

func (e *executor) FindInPath(plugin string, paths []string) (string, error) {
	return invoke.FindInPath(plugin, paths)
}

func (e *executor) ExecPlugin(ctx context.Context, path string, stdin []byte, env []string) ([]byte, error) {
	for try := 1; ; try++ {
		out, err := e.start(ctx, path, stdin, env)
		if !errors.Is(err, syscall.ETXTBSY) || try == busyRetries {
			return out, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(busyDelay):
		}
	}
}

func (e *executor) start(ctx context.Context, path string, stdin []byte, env []string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, delegateTimeout)
	defer cancel()
	var stdout bytes.Buffer
	cmd := exec.CommandContext(ctx, path)
	cmd.Env = env
	cmd.Stdin = bytes.NewReader(stdin)
	cmd.Stdout, cmd.Stderr = &stdout, e.r.stderr
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	if ctx.Err() != nil {
		return nil, Errorf(TryAgain, "%s was stopped: %w", path, ctx.Err())
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil, pluginError(path, stdout.Bytes(), exit)
	}
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", path, err)
	}
	return stdout.Bytes(), nil
}

// pluginError reads the error object that a failed plugin should have printed.
func pluginError(path string, stdout []byte, exit *exec.ExitError) error {
	var e types.Error
	if len(bytes.TrimSpace(stdout)) == 0 {
		return fmt.Errorf("plugin %s ended without an error object: %w", path, exit)
	}
	if err := json.Unmarshal(stdout, &e); err != nil || e.Msg == "" {
		return Errorf(Decode, "plugin %s ended with %w and printed no error object but %q", path, exit, stdout)
	}
	return &e
}
