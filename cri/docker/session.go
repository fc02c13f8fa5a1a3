package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"
)

// Streams says which of a process's streams a session carries. A terminal has
// one output, stdout.
type Streams struct {
	Stdin, Stdout, Stderr, Terminal bool
}

// detachKeys is a sequence nobody types by accident. An empty one would mean
// Docker's default, ctrl-p ctrl-q, which keeps a shell's ctrl-p to itself.
const detachKeys = "ctrl-^,ctrl-_,ctrl-^,ctrl-_"

// resizePatience is how long a resize is retried: the engine opens a session
// before the process it is for has its terminal.
const resizePatience = 2 * time.Second

// Session is a set of open streams of a process. Close may be called from any
// goroutine and makes a blocked Output or Write return.
type Session struct {
	connection types.HijackedResponse
	terminal   bool
	object     string // for errors: "container 3f2a…", "exec 77ab…"
	resize     func(context.Context, container.ResizeOptions) error
	engine     *Engine
}

// Write feeds the process's standard input.
func (s *Session) Write(b []byte) (int, error) { return s.connection.Conn.Write(b) }

// CloseWrite ends the process's standard input; its output goes on.
func (s *Session) CloseWrite() error { return s.connection.CloseWrite() }

// Close ends the session. The process goes on.
func (s *Session) Close() error { return s.connection.Conn.Close() }

// Output copies what the process writes until it has written all, or the
// session is closed. A nil writer drops its stream. On a terminal everything is
// stdout; otherwise the engine sends both streams in frames.
func (s *Session) Output(stdout, stderr io.Writer) error {
	if stdout == nil {
		stdout = io.Discard
	}
	if stderr == nil {
		stderr = io.Discard
	}
	var err error
	if s.terminal {
		_, err = io.Copy(stdout, s.connection.Reader)
	} else {
		_, err = stdcopy.StdCopy(stdout, stderr, s.connection.Reader)
	}
	if err != nil {
		return fmt.Errorf("read the output of %s: %w", s.object, err)
	}
	return nil
}

// Resize sets the terminal's size in characters.
func (s *Session) Resize(ctx context.Context, width, height uint16) error {
	ctx, cancel := context.WithTimeout(ctx, resizePatience)
	defer cancel()
	size := container.ResizeOptions{Width: uint(width), Height: uint(height)}
	for {
		err := s.engine.call(ctx, "resize the terminal of", s.object, func(ctx context.Context) error {
			return s.resize(ctx, size)
		})
		if err == nil || errors.Is(err, ErrUnavailable) {
			return err
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}

// Attach opens the streams of a running container's first process. Whether
// they are a terminal's is the container's property, not the caller's choice.
// ErrNotRunning: there is no process.
func (e *Engine) Attach(ctx context.Context, id string, streams Streams) (*Session, error) {
	c, err := e.Inspect(ctx, id)
	if err != nil {
		return nil, err
	}
	if c.State != Running {
		return nil, fmt.Errorf("attach to %s: %w, it is %s", id, ErrNotRunning, c.State)
	}
	options := container.AttachOptions{
		Stream: true, Stdin: streams.Stdin, Stdout: streams.Stdout, Stderr: streams.Stderr, DetachKeys: detachKeys,
	}
	s := &Session{engine: e, terminal: c.Terminal, object: "container " + id}
	s.resize = func(ctx context.Context, size container.ResizeOptions) error {
		return e.client.ContainerResize(ctx, id, size)
	}
	s.connection, err = e.hijack(ctx, "attach to", id, func(ctx context.Context) (types.HijackedResponse, error) {
		return e.client.ContainerAttach(ctx, id, options)
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// hijack makes a request that turns its connection into a stream. The Docker
// client does not heed ctx while it waits for the answer, so that is done here;
// a stream that comes too late is closed.
func (e *Engine) hijack(ctx context.Context, operation, object string,
	request func(context.Context) (types.HijackedResponse, error)) (types.HijackedResponse, error) {
	type answer struct {
		connection types.HijackedResponse
		err        error
	}
	var opened answer
	err := e.call(ctx, operation, object, func(bounded context.Context) error {
		answers := make(chan answer, 1)
		go func() {
			connection, err := request(bounded)
			answers <- answer{connection, err}
		}()
		select {
		case opened = <-answers:
			return opened.err
		case <-bounded.Done():
			go func() {
				if late := <-answers; late.err == nil {
					late.connection.Close()
				}
			}()
			return bounded.Err()
		}
	})
	return opened.connection, err
}
