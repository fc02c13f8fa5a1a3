package stream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"runtime/pprof"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// pod is a TCP server that hands each connection to f.
func pod(t *testing.T, network, address string, f func(*net.TCPConn)) (port string) {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				f(c.(*net.TCPConn))
			}()
		}
	}()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// answer reads a request to its end and repeats it in capitals: it works only
// where half-closes pass.
func answer(c *net.TCPConn) {
	request, err := io.ReadAll(c)
	if err == nil {
		_, _ = c.Write(bytes.ToUpper(request))
	}
}

func checkAnswer(t *testing.T, u *tunnel, port, request string) {
	t.Helper()
	data, errs := u.dial(port)
	if _, err := io.WriteString(data, request); err != nil {
		t.Fatal(err)
	}
	if err := data.Close(); err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, data); got != strings.ToUpper(request) {
		t.Errorf("got %d bytes %.40q, want %d", len(got), got, len(request))
	}
	if message := readAll(t, errs); message != "" {
		t.Errorf("error stream: %s", message)
	}
}

// checkNoneLeft waits until no forwarding goroutine is left.
func checkNoneLeft(t *testing.T) {
	t.Helper()
	var stacks bytes.Buffer
	eventually(t, "forwarding ends", func() bool {
		stacks.Reset()
		if err := pprof.Lookup("goroutine").WriteTo(&stacks, 2); err != nil {
			t.Fatal(err)
		}
		return !strings.Contains(stacks.String(), "stream.splice")
	})
}

func TestPortForwardBothFamilies(t *testing.T) {
	s := listen(t, Config{}, &localEngine{})
	u := newTunnel(t, s)
	for network, address := range map[string]string{"tcp4": "127.0.0.1:0", "tcp6": "[::1]:0"} {
		port := pod(t, network, address, answer)
		checkAnswer(t, u, port, "hello over "+network)
		checkAnswer(t, u, port, strings.Repeat("a long request ", 100_000))
	}
	checkNoneLeft(t)
}

func TestPortForwardToClosedPort(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	// Not through a client: the library resets the streams right after writing
	// the error, so that it may not arrive.
	err = newForwarder(t.Context(), &localEngine{}).PortForward(t.Context(), "pod", "", int32(port), newHalfStream())
	if !errors.Is(err, syscall.ECONNREFUSED) || !strings.Contains(err.Error(), strconv.Itoa(port)) {
		t.Errorf("%v, want the refusal and the port", err)
	}
}

// The pod sends nothing and never closes, not even when its input ends: only the
// connection's context can end the forwarding.
func TestPortForwardEndsWithTheClient(t *testing.T) {
	s := listen(t, Config{}, &localEngine{})
	connected, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	port := pod(t, "tcp4", "127.0.0.1:0", func(*net.TCPConn) {
		close(connected)
		<-release
	})
	u := newTunnel(t, s)
	u.dial(port)
	<-connected
	if err := u.conn.Close(); err != nil {
		t.Fatal(err)
	}
	checkNoneLeft(t)
}

// The pod closes while the client keeps its side open and silent.
func TestPortForwardEndsWithThePod(t *testing.T) {
	pods, server := tcpPair(t)
	client := newHalfStream()
	done := make(chan error, 1)
	go func() { done <- splice(t.Context(), client, server, 20*time.Millisecond) }()
	if _, err := pods.Write([]byte("bye")); err != nil {
		t.Fatal(err)
	}
	if err := pods.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Errorf("splice = %v", err)
	}
	if got := client.written.String(); got != "bye" {
		t.Errorf("the client got %q", got)
	}
}

func TestSpliceEndsWithItsContext(t *testing.T) {
	_, server := tcpPair(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan error, 1)
	go func() { done <- splice(ctx, newHalfStream(), server, time.Hour) }()
	cancel(errClientGone)
	if err := <-done; err != errClientGone {
		t.Errorf("splice = %v, want the cause", err)
	}
}

// halfStream is a client that sends nothing until it is reset.
type halfStream struct {
	written bytes.Buffer
	*io.PipeReader
}

func newHalfStream() *halfStream {
	r, _ := io.Pipe()
	return &halfStream{PipeReader: r}
}

func (s *halfStream) Write(b []byte) (int, error) { return s.written.Write(b) }
func (s *halfStream) Close() error                { return nil }
func (s *halfStream) Reset() error                { return s.PipeReader.Close() }

func tcpPair(t *testing.T) (a, b *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	dialed, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = dialed.Close(), accepted.Close() })
	return dialed.(*net.TCPConn), accepted.(*net.TCPConn)
}
