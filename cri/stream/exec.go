package stream

import (
	"context"
	"fmt"
	"io"
	"syscall"
	"time"

	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
)

// execer runs one session for the library, which names its methods.
type execer struct {
	server  *Server
	streams Streams
}

var (
	_ remotecommand.Executor = execer{}
	_ remotecommand.Attacher = execer{}
)

// ExecInContainer runs a command for a client. ctx ends when the client leaves.
// Then a command on a terminal is hung up, as a terminal does to its session
// (termios(3), tcsetpgrp(3)); the engine would leave it running for ever. A
// command without one goes on, with its input ended, as under a shell's pipe.
func (e execer) ExecInContainer(ctx context.Context, _, _, container string, cmd []string, in io.Reader,
	out, errs io.WriteCloser, _ bool, resize <-chan remotecommand.TerminalSize, _ time.Duration,
) error {
	log := e.server.log.With("container", container)
	p, err := e.server.engine.Exec(ctx, container, Command{Args: cmd, Streams: e.streams})
	if err != nil {
		return fmt.Errorf("exec in %s: %w", container, err)
	}
	defer func() {
		if err := p.Close(); err != nil {
			log.Debug("close exec session", "error", err)
		}
	}()
	err = pump(ctx, log, p, e.client(in, out, errs, resize))
	code := 0
	if err == nil {
		code, err = exitCode(ctx, p)
	}
	switch {
	case ctx.Err() != nil:
		if e.streams.TTY {
			e.hangUp(ctx, container, p)
		}
		return e.clientLeft(ctx, container)
	case err == nil && code != 0:
		return exitError(code)
	}
	return err
}

// clientLeft is no error that could be told to anyone.
func (e execer) clientLeft(ctx context.Context, container string) error {
	e.server.log.Debug("session ended", "container", container, "cause", context.Cause(ctx))
	return nil
}

// hangUp outlives the client's context: the client has left.
func (e execer) hangUp(ctx context.Context, container string, p Process) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), killTimeout)
	defer cancel()
	if err := signalTree(ctx, container, p, syscall.SIGHUP); err != nil {
		e.server.log.Warn("hang up a terminal whose client left", "container", container, "error", err)
	}
}

// AttachContainer joins a container's own streams until they end or the client
// leaves. The container is untouched by that.
func (e execer) AttachContainer(ctx context.Context, _, _, container string, in io.Reader,
	out, errs io.WriteCloser, _ bool, resize <-chan remotecommand.TerminalSize,
) error {
	log := e.server.log.With("container", container)
	session, err := e.server.engine.Attach(ctx, container, e.streams)
	if err != nil {
		return fmt.Errorf("attach to %s: %w", container, err)
	}
	defer func() {
		if err := session.Close(); err != nil {
			log.Debug("close attach session", "error", err)
		}
	}()
	err = pump(ctx, log, session, e.client(in, out, errs, resize))
	if ctx.Err() != nil {
		return e.clientLeft(ctx, container)
	}
	return err
}

// client drops the streams that were not asked for: over WebSocket the library
// hands over all of them.
func (e execer) client(in io.Reader, out, errs io.WriteCloser, resize <-chan remotecommand.TerminalSize) client {
	c := client{terminal: e.streams.TTY}
	if e.streams.Stdin {
		c.in = in
	}
	if e.streams.Stdout {
		c.out = out
	}
	if e.streams.Stderr {
		c.err = errs
	}
	if e.streams.TTY {
		c.resize = resize
	}
	return c
}
