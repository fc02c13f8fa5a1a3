package stream

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// errClientGone ends the context of a connection whose client left.
var errClientGone = errors.New("the client closed the connection")

// errLifetime ends a connection that is older than Config.Lifetime.
var errLifetime = errors.New("the session reached its lifetime")

// errShutdown ends the connections left at Server.Close.
var errShutdown = errors.New("the streaming server is shutting down")

// listener hands out connections that it can close later, also after an
// upgrade took them out of net/http's hands.
type listener struct {
	net.Listener
	lifetime time.Duration

	mu   sync.Mutex
	open map[*conn]struct{}
}

func newListener(l net.Listener, lifetime time.Duration) *listener {
	return &listener{Listener: l, lifetime: lifetime, open: make(map[*conn]struct{})}
}

func (l *listener) Accept() (net.Conn, error) {
	raw, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: raw, owner: l}
	c.ctx, c.end = context.WithCancelCause(context.Background())
	l.mu.Lock()
	l.open[c] = struct{}{}
	l.mu.Unlock()
	c.timer = time.AfterFunc(l.lifetime, func() { c.abort(errLifetime) })
	return c, nil
}

// closeAll ends every connection there is.
func (l *listener) closeAll(cause error) {
	l.mu.Lock()
	left := make([]*conn, 0, len(l.open))
	for c := range l.open {
		left = append(left, c)
	}
	l.mu.Unlock()
	for _, c := range left {
		c.abort(cause)
	}
}

// conn is a connection whose end can be waited for: ctx ends when either side
// closes it. An upgraded connection is always being read by the protocol, so
// the client's leaving is seen at once.
type conn struct {
	net.Conn
	owner *listener
	timer *time.Timer
	ctx   context.Context
	end   context.CancelCauseFunc
}

func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	// net/http interrupts its own reads by deadlines: those end nothing.
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		c.end(errClientGone)
	}
	return n, err
}

func (c *conn) Close() error {
	c.end(errClientGone)
	c.timer.Stop()
	c.owner.mu.Lock()
	delete(c.owner.open, c)
	c.owner.mu.Unlock()
	return c.Conn.Close()
}

// abort closes the connection for a reason other than its client.
func (c *conn) abort(cause error) {
	c.end(cause)
	_ = c.Close() // The client learns of it by the closing itself.
}

// connContext is the context of requests that arrive over c: it ends with the
// connection. See http.Server.ConnContext.
func connContext(ctx context.Context, c net.Conn) context.Context {
	if t, ok := c.(interface{ NetConn() net.Conn }); ok { // *tls.Conn
		c = t.NetConn()
	}
	tracked, ok := c.(*conn)
	if !ok {
		return ctx
	}
	ctx, cancel := context.WithCancelCause(ctx)
	context.AfterFunc(tracked.ctx, func() { cancel(context.Cause(tracked.ctx)) })
	return ctx
}
