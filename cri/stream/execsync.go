package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"syscall"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	// killTimeout bounds killing a command's processes and seeing it gone.
	killTimeout = 5 * time.Second
	// startTimeout bounds the engine's start of a command. It is not the
	// caller's timeout: a start given up half way may leave a process that
	// nobody knows.
	startTimeout = 2 * time.Minute
)

// Result of a command that ran to its end. Where the output was longer than a
// message to the kubelet can be, Stderr ends with a line that says so.
type Result struct {
	Stdout, Stderr []byte
	ExitCode       int
}

// TimeoutError says that a command was still running at its deadline and what
// became of it. As a gRPC status it is DeadlineExceeded, by which the kubelet
// knows a probe's timeout; errors.Is finds context.DeadlineExceeded.
type TimeoutError struct {
	Container string
	Timeout   time.Duration
	// Kill is nil when the command and all it started are gone.
	Kill error
}

func (e *TimeoutError) Error() string {
	what := fmt.Sprintf("exec in %s: still running after %s", e.Container, e.Timeout)
	if e.Kill != nil {
		return fmt.Sprintf("%s, and not killed: %v", what, e.Kill)
	}
	return what + ": killed with its children"
}

// Is makes the error a context.DeadlineExceeded.
func (e *TimeoutError) Is(target error) bool { return target == context.DeadlineExceeded }

// Unwrap returns Kill.
func (e *TimeoutError) Unwrap() error { return e.Kill }

// GRPCStatus is what gRPC sends for the error.
func (e *TimeoutError) GRPCStatus() *status.Status {
	return status.New(codes.DeadlineExceeded, e.Error())
}

// ExecSync runs a command in a container, without input, and returns what it
// wrote. At timeout (0 is none), or when ctx ends, the command is killed with
// its children and the error is a *TimeoutError, or ctx's.
func ExecSync(ctx context.Context, engine Engine, container string, args []string, timeout time.Duration) (Result, error) {
	run := ctx
	if timeout > 0 {
		var cancel context.CancelFunc
		run, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	started := make(chan startedProcess, 1)
	go func() { started <- startCommand(ctx, engine, container, args) }()

	var s startedProcess
	select {
	case s = <-started:
	case <-run.Done():
		// The process may appear yet: it is killed when it does.
		go func() { (<-started).discard(ctx, container) }()
		return Result{}, ended(ctx, container, timeout, nil)
	}
	if s.err != nil {
		return Result{}, fmt.Errorf("exec in %s: %w", container, s.err)
	}
	result, err := collect(run, s.process)
	if err == nil {
		_ = s.process.Close() // All was read: nothing can be lost.
		return result, nil
	}
	kill := s.kill(ctx, container)
	if run.Err() != nil {
		return Result{}, ended(ctx, container, timeout, kill)
	}
	return Result{}, errors.Join(fmt.Errorf("exec in %s: %w", container, err), kill)
}

// ended is the error of a command that was given up.
func ended(ctx context.Context, container string, timeout time.Duration, kill error) error {
	if ctx.Err() == nil {
		return &TimeoutError{Container: container, Timeout: timeout, Kill: kill}
	}
	return errors.Join(fmt.Errorf("exec in %s: given up by the caller: %w", container, context.Cause(ctx)), kill)
}

type startedProcess struct {
	process Process
	err     error
}

func startCommand(ctx context.Context, engine Engine, container string, args []string) startedProcess {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), startTimeout)
	defer cancel()
	p, err := engine.Exec(ctx, container, Command{Args: args, Streams: Streams{Stdout: true, Stderr: true}})
	return startedProcess{p, err}
}

// discard ends a command that started after its deadline.
func (s startedProcess) discard(ctx context.Context, container string) {
	if s.err != nil {
		return
	}
	if err := s.kill(ctx, container); err != nil {
		slog.Warn("kill a command that started after its deadline", "container", container, "error", err)
	}
}

// kill ends the command, whatever became of ctx, and the session.
func (s startedProcess) kill(ctx context.Context, container string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), killTimeout)
	defer cancel()
	err := signalTree(ctx, container, s.process, syscall.SIGKILL)
	if err == nil {
		_, err = exitCode(ctx, s.process)
	}
	return errors.Join(err, s.process.Close())
}

// collect reads the command's output to its end, or ctx's, and its exit code.
func collect(ctx context.Context, p Process) (Result, error) {
	output := newCollector()
	copied := make(chan error, 1)
	go func() { copied <- p.Output(sink{output, &output.stdout}, sink{output, &output.stderr}) }()
	select {
	case err := <-copied:
		if err != nil {
			return Result{}, fmt.Errorf("read output: %w", err)
		}
	case <-ctx.Done():
		return Result{}, ctx.Err()
	}
	code, err := exitCode(ctx, p)
	if err != nil {
		return Result{}, err
	}
	stdout, stderr := output.result()
	return Result{Stdout: stdout, Stderr: stderr, ExitCode: code}, nil
}
