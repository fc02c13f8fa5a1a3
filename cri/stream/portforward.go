package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mascri/mascri/netplug/netns"
)

const (
	// dialTimeout bounds a connect on loopback, which is answered or refused at
	// once unless the pod's own filter drops it.
	dialTimeout = 5 * time.Second
	// lingerPeriod: once the pod has sent all, the client's direction is ended
	// when nothing came for one period. A pod that closed its socket looks the
	// same as one that ended its half, until something is sent to it.
	lingerPeriod = time.Minute
)

// forwarder connects the streams of one client connection to ports of a pod.
// ctx ends with that connection; the library's own context does not.
type forwarder struct {
	ctx    context.Context
	engine Engine
	linger time.Duration
	active *gate
}

func newForwarder(ctx context.Context, engine Engine) *forwarder {
	return &forwarder{ctx: ctx, engine: engine, linger: lingerPeriod, active: newGate()}
}

// PortForward copies between stream and the pod's port until both directions
// ended. The library calls it once a forwarded connection.
func (f *forwarder) PortForward(_ context.Context, sandbox, _ string, port int32, stream io.ReadWriteCloser) error {
	if !f.active.enter() {
		return errClientGone
	}
	defer f.active.leave()
	path, err := f.engine.NetNS(f.ctx, sandbox)
	if err != nil {
		return fmt.Errorf("find the network namespace of pod %s: %w", sandbox, err)
	}
	pod, err := dialPod(f.ctx, path, port)
	if err != nil {
		return fmt.Errorf("connect to port %d in pod %s: %w", port, sandbox, err)
	}
	err = splice(f.ctx, stream, pod, f.linger)
	if f.ctx.Err() != nil {
		return nil // The client left: there is nobody to tell.
	}
	return err
}

// dialPod connects to the pod's loopback: IPv4 first, as Kubernetes does, then
// IPv6. The socket stays in the namespace it was made in.
func dialPod(ctx context.Context, path string, port int32) (*net.TCPConn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	var conn net.Conn
	dial := func() error {
		var refused []error
		for _, host := range []string{"127.0.0.1", "::1"} {
			// A literal address is dialled on this goroutine, so on the thread
			// that is in the namespace.
			var err error
			conn, err = new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(int(port))))
			if err == nil {
				return nil
			}
			refused = append(refused, err)
		}
		return errors.Join(refused...)
	}
	enter := func() error { return netns.Do(path, dial) }
	if path == "" {
		enter = dial
	}
	if err := enter(); err != nil {
		return nil, err
	}
	return conn.(*net.TCPConn), nil
}

// resetter is a stream with two independent halves: Close ends ours, Reset both.
// SPDY streams are; WebSocket channels have no half-close, and Close ends them.
type resetter interface{ Reset() error }

// splice copies both ways until both ends have ended their halves, ctx is done
// or, with the pod's half ended, the client is silent for linger. It closes pod
// and returns only when nothing uses either end any more.
func splice(ctx context.Context, stream io.ReadWriteCloser, pod *net.TCPConn, linger time.Duration) error {
	var fromClient atomic.Int64
	clientDone := make(chan struct{})
	end := sync.OnceFunc(func() {
		// Closing is all that is left to do, on ends that may be gone already.
		_ = pod.Close()
		if r, ok := stream.(resetter); ok {
			_ = r.Reset()
		} else {
			_ = stream.Close()
		}
	})
	stop := context.AfterFunc(ctx, end)
	defer stop()
	go func() {
		defer close(clientDone)
		// An error is the pod's refusing more: it may still be sending.
		_, _ = io.Copy(pod, counting{stream, &fromClient})
		_ = pod.CloseWrite()
	}()

	_, err := io.Copy(stream, pod)
	if _, halves := stream.(resetter); halves && err == nil && stream.Close() == nil {
		lingerOn(clientDone, &fromClient, linger)
	}
	// Both halves have ended, so Reset sends nothing more in the usual case.
	end()
	<-clientDone
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("copy from the pod: %w", err)
	}
	return nil
}

// lingerOn returns when done is closed, or count stood still for a period.
func lingerOn(done <-chan struct{}, count *atomic.Int64, period time.Duration) {
	tick := time.NewTicker(period)
	defer tick.Stop()
	for last := count.Load(); ; {
		select {
		case <-done:
			return
		case <-tick.C:
		}
		now := count.Load()
		if now == last {
			return
		}
		last = now
	}
}

// counting counts what is read.
type counting struct {
	io.Reader
	n *atomic.Int64
}

func (c counting) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	c.n.Add(int64(n))
	return n, err
}
