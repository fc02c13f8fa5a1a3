package docker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
)

// Command is a command to run in a running container, in addition to its first
// process and in its namespaces and cgroup.
type Command struct {
	Args    []string
	Streams Streams
	// The rest is as the container has it where it is zero.
	Env        []string // "KEY=value", added to the container's
	User       string
	WorkingDir string
	Privileged bool
}

// Process is a command that was started, and its streams.
type Process struct {
	*Session
	ID string // the engine's, 64 hexadecimal digits
}

// ProcessState is what became of a command.
type ProcessState struct {
	Running bool
	PID     int // on the engine's host; meaningful while Running
	// ExitCode is meaningful once not Running: the command's own, 128+n after
	// signal n, 126 or 127 where it could not be executed (its output says why).
	ExitCode int
}

// Exec starts a command and returns with its streams open. ErrNotRunning: the
// container does not run. A program that is not there is no error here: the
// engine writes one to the output and the exit code is 126 or 127. After
// ErrUnavailable the command may have started all the same.
func (e *Engine) Exec(ctx context.Context, id string, command Command) (*Process, error) {
	exec, err := e.createExec(ctx, id, command)
	if err != nil {
		return nil, err
	}
	process := &Process{ID: exec, Session: &Session{
		engine: e, terminal: command.Streams.Terminal, object: "command " + exec + " in " + id,
	}}
	process.resize = func(ctx context.Context, size container.ResizeOptions) error {
		return e.client.ContainerExecResize(ctx, exec, size)
	}
	start := container.ExecAttachOptions{Tty: command.Streams.Terminal}
	process.connection, err = e.hijack(ctx, "start command in", id, func(ctx context.Context) (types.HijackedResponse, error) {
		return e.client.ContainerExecAttach(ctx, exec, start)
	})
	if err != nil {
		return nil, err
	}
	return process, nil
}

func (e *Engine) createExec(ctx context.Context, id string, command Command) (exec string, err error) {
	if len(command.Args) == 0 {
		return "", fmt.Errorf("run a command in %s: %w: it is empty", id, ErrInvalid)
	}
	options := container.ExecOptions{
		Cmd:          command.Args,
		Env:          command.Env,
		User:         command.User,
		WorkingDir:   command.WorkingDir,
		Privileged:   command.Privileged,
		Tty:          command.Streams.Terminal,
		AttachStdin:  command.Streams.Stdin,
		AttachStdout: command.Streams.Stdout,
		AttachStderr: command.Streams.Stderr && !command.Streams.Terminal,
		DetachKeys:   detachKeys,
	}
	err = e.call(ctx, "create command in", id, func(ctx context.Context) error {
		answer, err := e.client.ContainerExecCreate(ctx, id, options)
		exec = answer.ID
		return err
	})
	if errors.Is(err, ErrConflict) {
		// Paused or restarting: whatever it is, no command can run in it now.
		return "", fmt.Errorf("%w: %w", ErrNotRunning, err)
	}
	return exec, err
}

// beginTimeout bounds the time that the engine may take to note a command that
// it was asked to run.
const beginTimeout = time.Second

// State asks the engine about the command. The engine forgets a command some
// minutes after its end, and all of a container's when that is removed
// (ErrNotFound).
func (p *Process) State(ctx context.Context) (ProcessState, error) {
	ctx, cancel := context.WithTimeout(ctx, p.engine.timeout)
	defer cancel()
	begun := time.Now().Add(beginTimeout)
	for {
		state, err := p.inspect(ctx)
		// The engine notes that a command runs a moment after it has answered the
		// request, and its process later still. A command that has ended has a
		// process; one that could not be started, an exit code.
		unnoted := state == ProcessState{} && time.Now().Before(begun)
		starting := state.Running && state.PID == 0
		if err != nil || !unnoted && !starting {
			return state, err
		}
		select {
		case <-time.After(2 * time.Millisecond):
		case <-ctx.Done():
			return state, fmt.Errorf("wait for the process of %s: %w", p.object, ctx.Err())
		}
	}
}

func (p *Process) inspect(ctx context.Context) (ProcessState, error) {
	var state ProcessState
	err := p.engine.call(ctx, "inspect", p.object, func(ctx context.Context) error {
		answer, err := p.engine.client.ContainerExecInspect(ctx, p.ID)
		state = ProcessState{Running: answer.Running, PID: answer.Pid, ExitCode: answer.ExitCode}
		return err
	})
	return state, err
}
