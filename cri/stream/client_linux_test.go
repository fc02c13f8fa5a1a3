package stream

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"testing"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/cri-streaming/pkg/streaming/portforward"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"
)

// listen starts a server that the test's end closes, checking that it can.
func listen(t *testing.T, c Config, e Engine) *Server {
	t.Helper()
	s, err := Listen(c, e)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// Ended already: whatever the test left open must be closed for it.
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := s.Close(ctx); err != nil {
			t.Errorf("close the server: %v", err)
		}
	})
	return s
}

// open upgrades a connection to url as kubectl does.
func open(t *testing.T, url string, protocols ...string) (httpstream.Connection, error) {
	t.Helper()
	transport, err := spdy.NewRoundTripper(&tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header[http.CanonicalHeaderKey(httpstream.HeaderProtocolVersion)] = protocols
	response, err := transport.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	c, err := transport.NewConnection(response)
	if err == nil {
		t.Cleanup(func() { _ = c.Close() })
	}
	return c, err
}

// terminal is the client of an exec or attach session. Streams that were not
// asked for are nil.
type terminal struct {
	t                                *testing.T
	conn                             httpstream.Connection
	err, stdin, stdout, stderr, size httpstream.Stream
}

func newTerminal(t *testing.T, url string, s Streams) *terminal {
	t.Helper()
	c, err := open(t, url, remotecommand.StreamProtocolV4Name)
	if err != nil {
		t.Fatalf("open %s: %v", url, err)
	}
	m := &terminal{t: t, conn: c}
	for _, stream := range []struct {
		kind   string
		want   bool
		stream *httpstream.Stream
	}{
		{remotecommand.StreamTypeError, true, &m.err},
		{remotecommand.StreamTypeStdin, s.Stdin, &m.stdin},
		{remotecommand.StreamTypeStdout, s.Stdout, &m.stdout},
		{remotecommand.StreamTypeStderr, s.Stderr, &m.stderr},
		{remotecommand.StreamTypeResize, s.TTY, &m.size},
	} {
		if !stream.want {
			continue
		}
		header := http.Header{remotecommand.StreamType: {stream.kind}}
		if *stream.stream, err = c.CreateStream(header); err != nil {
			t.Fatalf("create stream %s: %v", stream.kind, err)
		}
	}
	return m
}

// status reads how the session ended: the message, and the exit code as text.
func (m *terminal) status() (message, code string) {
	m.t.Helper()
	data, err := io.ReadAll(m.err)
	if err != nil {
		m.t.Fatal(err)
	}
	var s struct {
		Status, Message string
		Details         struct {
			Causes []struct{ Reason, Message string }
		}
	}
	if err := json.Unmarshal(data, &s); err != nil {
		m.t.Fatalf("status %q: %v", data, err)
	}
	if s.Status == "Success" {
		return "", "0"
	}
	for _, c := range s.Details.Causes {
		code = c.Message
	}
	return s.Message, code
}

func readAll(t *testing.T, r io.Reader) string {
	t.Helper()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// execURL asks the server for an exec session.
func execURL(t *testing.T, s *Server, streams Streams, args ...string) string {
	t.Helper()
	r, err := s.Exec(&cri.ExecRequest{
		ContainerId: everyContainer, Cmd: args,
		Stdin: streams.Stdin, Stdout: streams.Stdout, Stderr: streams.Stderr, Tty: streams.TTY,
	})
	if err != nil {
		t.Fatal(err)
	}
	return r.GetUrl()
}

// tunnel opens connections to a pod's ports, as `kubectl port-forward` does.
type tunnel struct {
	t    *testing.T
	conn httpstream.Connection
	next byte
}

func newTunnel(t *testing.T, s *Server) *tunnel {
	t.Helper()
	r, err := s.PortForward(&cri.PortForwardRequest{PodSandboxId: "pod"})
	if err != nil {
		t.Fatal(err)
	}
	c, err := open(t, r.GetUrl(), portforward.ProtocolV1Name)
	if err != nil {
		t.Fatal(err)
	}
	return &tunnel{t: t, conn: c}
}

// dial returns the data and the error stream of a new connection to port.
func (u *tunnel) dial(port string) (data, errs httpstream.Stream) {
	u.t.Helper()
	u.next++
	header := http.Header{
		portforward.PortHeader:                 {port},
		portforward.PortForwardRequestIDHeader: {string('a' + u.next)},
	}
	var err error
	header.Set(portforward.StreamType, portforward.StreamTypeError)
	if errs, err = u.conn.CreateStream(header); err != nil {
		u.t.Fatal(err)
	}
	header.Set(portforward.StreamType, portforward.StreamTypeData)
	if data, err = u.conn.CreateStream(header); err != nil {
		u.t.Fatal(err)
	}
	return data, errs
}
