package stream

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
)

// Engine opens sessions in containers. It is what this package needs of the
// container engine.
type Engine interface {
	// Exec starts a command in a running container. When it returns an error,
	// no process was left behind.
	Exec(ctx context.Context, containerID string, command Command) (Process, error)
	// Attach joins the streams of a running container's main process.
	Attach(ctx context.Context, containerID string, streams Streams) (Session, error)
	// NetNS returns the path of a ready sandbox's network namespace, or ""
	// for the host's.
	NetNS(ctx context.Context, sandboxID string) (string, error)
}

// Streams says which streams a session carries. With TTY there is one output,
// stdout, as a terminal has.
type Streams struct {
	Stdin, Stdout, Stderr, TTY bool
}

// Command is a command to run and the streams to run it with.
type Command struct {
	Args []string
	Streams
}

// Session is a set of open streams. Close ends it from any goroutine, and makes
// a blocked Output or Write return.
type Session interface {
	// Write feeds stdin.
	io.Writer
	// CloseWrite is the end of stdin; output goes on.
	CloseWrite() error
	// Output copies what the process writes until it has written all. A nil
	// writer drops its stream.
	Output(stdout, stderr io.Writer) error
	// Resize sets the terminal's size in characters.
	Resize(ctx context.Context, width, height uint16) error
	Close() error
}

// Process is a session with a command of its own, started by Exec.
type Process interface {
	Session
	// State asks the engine about the command.
	State(ctx context.Context) (State, error)
}

// State of a command. PID is the host's number for it, valid while Running.
// ExitCode is valid once not Running.
type State struct {
	Running  bool
	PID      int
	ExitCode int
}

// client is the far end of a session. Streams the client did not ask for are
// nil, and so is resize where there is no terminal.
type client struct {
	in       io.Reader
	out, err io.WriteCloser
	resize   <-chan remotecommand.TerminalSize
	terminal bool
}

// pump connects a session to a client until the session's output ends or ctx
// does. Closing the session and the client's connection, which the callers do
// next, ends the two goroutines.
func pump(ctx context.Context, log *slog.Logger, s Session, c client) error {
	stop := context.AfterFunc(ctx, func() {
		if err := s.Close(); err != nil {
			log.Debug("close a session whose client left", "error", err)
		}
	})
	defer stop()

	if c.in != nil {
		go feed(log, s, c)
	}
	if c.resize != nil {
		go follow(ctx, log, s, c.resize)
	}
	err := s.Output(writer(c.out), writer(c.err))
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("copy output: %w", err)
	}
	return nil
}

// writer keeps a nil interface nil: Output distinguishes it.
func writer(w io.WriteCloser) io.Writer {
	if w == nil {
		return nil
	}
	return w
}

// feed copies the client's input. A process that stops reading is no error: it
// may have exited, which Output reports. A terminal has no end of input, and the
// engine would take one for the end of the session.
func feed(log *slog.Logger, s Session, c client) {
	if _, err := io.Copy(s, c.in); err != nil {
		log.Debug("input ended early", "error", err)
	}
	if c.terminal {
		return
	}
	if err := s.CloseWrite(); err != nil {
		log.Debug("end of input not delivered", "error", err)
	}
}

func follow(ctx context.Context, log *slog.Logger, s Session, sizes <-chan remotecommand.TerminalSize) {
	for size := range sizes {
		if err := s.Resize(ctx, size.Width, size.Height); err != nil {
			log.Debug("resize terminal", "error", err)
		}
	}
}

// The engine is asked at these intervals whether a command whose output ended
// has exited: nearly always it has, but it may have closed its output and work on.
const (
	firstExitPoll = 2 * time.Millisecond
	lastExitPoll  = 500 * time.Millisecond
)

// exitCode waits for the command's end and returns its status.
func exitCode(ctx context.Context, p Process) (int, error) {
	for pause := firstExitPoll; ; pause = min(2*pause, lastExitPoll) {
		state, err := p.State(ctx)
		if err != nil {
			return 0, fmt.Errorf("ask for the exit code: %w", err)
		}
		if !state.Running {
			return state.ExitCode, nil
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("wait for the command to exit: %w", context.Cause(ctx))
		case <-time.After(pause):
		}
	}
}

// exitError carries a non-zero status to the client. The library recognises it
// by these methods, which are those of k8s.io/utils/exec.ExitError.
type exitError int

func (e exitError) Error() string   { return fmt.Sprintf("command exited with code %d", int(e)) }
func (e exitError) String() string  { return e.Error() }
func (e exitError) Exited() bool    { return true }
func (e exitError) ExitStatus() int { return int(e) }
