package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Call is one execution of a plugin: what went in and what came out.
type Call struct {
	Path     string        `json:"path"`
	Env      []string      `json:"env"`
	Stdin    string        `json:"stdin"`
	Stdout   string        `json:"stdout"`
	Stderr   string        `json:"stderr"`
	Exit     int           `json:"exit"` // -1 where it did not exit by itself
	Trouble  string        `json:"trouble,omitempty"`
	Duration time.Duration `json:"durationNs"`
}

// Event is one thing that happened in a row: a call, or something the suite
// did to the namespaces in the words of the equivalent command.
type Event struct {
	Call *Call  `json:"call,omitempty"`
	Note string `json:"note,omitempty"`
}

// request is an execution to be.
type request struct {
	binary string
	env    map[string]string
	config map[string]any
	stdin  *string // in place of config where set
}

// option changes a request from what a runtime would send.
type option func(*request)

// with sets a variable.
func with(key, value string) option { return func(r *request) { r.env[key] = value } }

// without removes variables.
func without(keys ...string) option {
	return func(r *request) {
		for _, key := range keys {
			delete(r.env, key)
		}
	}
}

// onlyEnv removes all CNI_ variables but these.
func onlyEnv(keys ...string) option {
	return func(r *request) {
		maps.DeleteFunc(r.env, func(key, _ string) bool {
			return strings.HasPrefix(key, "CNI_") && !slices.Contains(keys, key)
		})
	}
}

// set sets a key of the configuration.
func set(key string, value any) option { return func(r *request) { r.config[key] = value } }

// unset removes keys of the configuration.
func unset(keys ...string) option {
	return func(r *request) {
		for _, key := range keys {
			delete(r.config, key)
		}
	}
}

// stdin sends something else than the configuration.
func stdin(text string) option { return func(r *request) { r.stdin = &text } }

// run executes the request in the host's namespaces and waits for its end, at
// most as long as timeout.
func (r request) run(ctx context.Context, h host, timeout time.Duration) (*Call, error) {
	input, err := r.input()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, r.binary)
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = r.environ(), strings.NewReader(input), &stdout, &stderr
	// A group of its own, so that a delegate that hangs ends with the plugin.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second

	start := time.Now()
	if err := h.start(cmd); err != nil {
		return nil, fmt.Errorf("start %s: %w", r.binary, err)
	}
	waitErr := cmd.Wait()
	call := &Call{
		Path: r.binary, Env: cmd.Env, Stdin: input,
		Stdout: stdout.String(), Stderr: stderr.String(),
		Exit: cmd.ProcessState.ExitCode(), Duration: time.Since(start),
	}
	call.Trouble = trouble(ctx, waitErr, cmd, timeout)
	return call, nil
}

// trouble says what was wrong with the process itself; "" for an exit with
// any code.
func trouble(ctx context.Context, err error, cmd *exec.Cmd, timeout time.Duration) string {
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return fmt.Sprintf("did not exit within %s and was killed", timeout)
	case errors.Is(err, exec.ErrWaitDelay):
		return "exited and left a process behind that holds its stdout or stderr open"
	case errors.As(err, &exit) && !exit.Exited():
		return "was ended by a signal: " + cmd.ProcessState.String()
	case err != nil && exit == nil:
		return err.Error()
	}
	return ""
}

func (r request) input() (string, error) {
	if r.stdin != nil {
		return *r.stdin, nil
	}
	b, err := json.Marshal(r.config)
	if err != nil {
		return "", fmt.Errorf("encode the request configuration: %w", err)
	}
	return string(b), nil
}

func (r request) environ() []string {
	var env []string
	for _, key := range slices.Sorted(maps.Keys(r.env)) {
		env = append(env, key+"="+r.env[key])
	}
	return env
}

// Command returns the call as a line for a shell, with its exit code and what
// it wrote below.
func (c *Call) String() string {
	var b strings.Builder
	for _, variable := range c.Env {
		key, value, _ := strings.Cut(variable, "=")
		fmt.Fprintf(&b, "%s=%s ", key, quote(value))
	}
	fmt.Fprintf(&b, "%s <<< %s\n", c.Path, quote(c.Stdin))
	fmt.Fprintf(&b, "exit code: %d", c.Exit)
	if c.Trouble != "" {
		fmt.Fprintf(&b, " (the plugin %s)", c.Trouble)
	}
	fmt.Fprintf(&b, "\nstdout: %s\nstderr: %s", orNothing(c.Stdout), orNothing(c.Stderr))
	return b.String()
}

func quote(s string) string {
	if s != "" && !strings.ContainsAny(s, " \t\n'\"$`\\{}[]()<>|&;*?!#~") {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func orNothing(s string) string {
	if s = strings.TrimSpace(s); s == "" {
		return "(nothing)"
	}
	return s
}
