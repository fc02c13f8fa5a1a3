//go:build e2e && linux

package test

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/cri-streaming/pkg/streaming/portforward"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"
)

// A session is the client's end of an exec, attach or port-forward, over the
// protocol that the kubelet speaks.
type session struct {
	httpstream.Connection
	t *testing.T
}

// openSession upgrades a connection to the URL that the daemon gave.
func openSession(t *testing.T, url, protocol string) (session, error) {
	t.Helper()
	transport, err := spdy.NewRoundTripper(&tls.Config{})
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set(httpstream.HeaderProtocolVersion, protocol)
	response, err := transport.RoundTrip(request)
	if err != nil {
		return session{}, err
	}
	connection, err := transport.NewConnection(response)
	if err == nil {
		t.Cleanup(func() { _ = connection.Close() }) // the far end may have done so
	}
	return session{connection, t}, err
}

func (s session) stream(kind string, headers ...string) httpstream.Stream {
	s.t.Helper()
	header := http.Header{remotecommand.StreamType: {kind}}
	for i := 0; i < len(headers); i += 2 {
		header.Set(headers[i], headers[i+1])
	}
	stream, err := s.CreateStream(header)
	if err != nil {
		s.t.Fatalf("create stream %s: %v", kind, err)
	}
	return stream
}

// write gives a stream all of its input; whether it ends is up to the caller.
func (s session) write(stream httpstream.Stream, text string) {
	s.t.Helper()
	if _, err := io.WriteString(stream, text); err != nil {
		s.t.Error(err)
	}
}

func (s session) read(stream httpstream.Stream) string {
	s.t.Helper()
	text, err := io.ReadAll(stream)
	if err != nil {
		s.t.Error(err)
	}
	return string(text)
}

// session opens what the answer of Exec, Attach or PortForward names.
func (n *node) session(answer interface{ GetUrl() string }, err error, protocol string) session {
	n.t.Helper()
	if err != nil {
		n.t.Fatal(err)
	}
	s, err := openSession(n.t, answer.GetUrl(), protocol)
	if err != nil {
		n.t.Fatalf("open %s: %v", answer.GetUrl(), err)
	}
	return s
}

// talker answers each line on its standard input, and serves its user names on
// port 8004 of the IPv4 loopback address and on 8006 of the IPv6 one.
func talker(c *runtimeapi.ContainerConfig) { c.Stdin = true }

const talk = "httpd -p 127.0.0.1:8004 -h /etc; httpd -p '[::1]:8006' -h /etc; while read line; do echo got $line; done"

// Streams reach a container's processes and the pod's ports through the whole
// daemon: the call, the streaming server, the engine and the pod's namespace.
func TestStreaming(t *testing.T) {
	importImage(t)
	n := newNode(t)
	pod := n.run(containerPod("streams", filepath.Join(n.dir, "pods")))
	id := n.runContainer(pod, shellContainer("talker", talk, talker))
	t.Run("exec", func(t *testing.T) { n.within(t).execStreams(id) })
	t.Run("terminal", func(t *testing.T) { n.within(t).execTerminal(id) })
	t.Run("attach", func(t *testing.T) { n.within(t).attachStreams(id) })
	for _, port := range []string{"8004", "8006"} {
		t.Run("port "+port, func(t *testing.T) { n.within(t).forwardPort(pod, port) })
	}
}

// execStreams demands that streams are apart, input ends, the exit code comes
// back, and that the URL is good for one session.
func (n *node) execStreams(id string) {
	n.t.Helper()
	answer, err := n.Exec(n.t.Context(), &runtimeapi.ExecRequest{
		ContainerId: id, Cmd: []string{"/bin/sh", "-c", "cat; echo bad >&2; exit 3"}, Stdin: true, Stdout: true, Stderr: true})
	s := n.session(answer, err, remotecommand.StreamProtocolV4Name)
	end := s.stream(remotecommand.StreamTypeError)
	in, out, bad := s.stream(remotecommand.StreamTypeStdin), s.stream(remotecommand.StreamTypeStdout), s.stream(remotecommand.StreamTypeStderr)
	s.write(in, "fed")
	if err := in.Close(); err != nil {
		n.t.Error(err)
	}
	if o, e := s.read(out), s.read(bad); o != "fed" || e != "bad\n" {
		n.t.Errorf("stdout %q, stderr %q", o, e)
	}
	if how := s.read(end); !strings.Contains(how, `"3"`) {
		n.t.Errorf("the session ended with %s, want exit code 3", how)
	}
	if _, err := openSession(n.t, answer.GetUrl(), remotecommand.StreamProtocolV4Name); err == nil {
		n.t.Error("the URL is good for a second session")
	}
	_, err = n.Exec(n.t.Context(), &runtimeapi.ExecRequest{ContainerId: "absent", Cmd: []string{"/bin/sh"}, Stdout: true})
	if status.Code(err) != codes.NotFound {
		n.t.Errorf("exec in a container that is not there: %v", err)
	}
}

// execTerminal demands that the terminal takes the client's size.
func (n *node) execTerminal(id string) {
	n.t.Helper()
	const script = `until [ "$(/bin/busybox stty size 2>&-)" = "33 99" ]; do sleep 0.05; done; echo sized`
	answer, err := n.Exec(n.t.Context(), &runtimeapi.ExecRequest{
		ContainerId: id, Cmd: []string{"/bin/sh", "-c", script}, Stdin: true, Stdout: true, Tty: true})
	s := n.session(answer, err, remotecommand.StreamProtocolV4Name)
	s.stream(remotecommand.StreamTypeError)
	s.stream(remotecommand.StreamTypeStdin)
	out, size := s.stream(remotecommand.StreamTypeStdout), s.stream(remotecommand.StreamTypeResize)
	if err := json.NewEncoder(size).Encode(remotecommand.TerminalSize{Width: 99, Height: 33}); err != nil {
		n.t.Fatal(err)
	}
	if got := s.read(out); got != "sized\r\n" {
		n.t.Errorf("the terminal shows %q", got)
	}
}

// attachStreams demands an answer of the container's own process.
func (n *node) attachStreams(id string) {
	n.t.Helper()
	answer, err := n.Attach(n.t.Context(), &runtimeapi.AttachRequest{ContainerId: id, Stdin: true, Stdout: true, Stderr: true})
	s := n.session(answer, err, remotecommand.StreamProtocolV4Name)
	s.stream(remotecommand.StreamTypeError)
	in, out := s.stream(remotecommand.StreamTypeStdin), s.stream(remotecommand.StreamTypeStdout)
	s.stream(remotecommand.StreamTypeStderr)
	s.write(in, "typed\n")
	var got string
	if _, err := fmt.Fscanln(out, new(string), &got); err != nil || got != "typed" {
		n.t.Errorf("the process answers %q, %v", got, err)
	}
}

// forwardPort demands two answers of a server on the pod's loopback device over
// one session.
func (n *node) forwardPort(pod, port string) {
	n.t.Helper()
	answer, err := n.PortForward(n.t.Context(), &runtimeapi.PortForwardRequest{PodSandboxId: pod})
	s := n.session(answer, err, portforward.ProtocolV1Name)
	for _, number := range []string{"1", "2"} {
		headers := []string{portforward.PortHeader, port, portforward.PortForwardRequestIDHeader, number}
		bad := s.stream(portforward.StreamTypeError, headers...)
		data := s.stream(portforward.StreamTypeData, headers...)
		s.write(data, "GET /passwd HTTP/1.0\r\n\r\n")
		if page := s.read(data); !strings.Contains(page, "web:x:1000") {
			n.t.Errorf("port %s answers %q", port, page)
		}
		if err := data.Close(); err != nil {
			n.t.Error(err)
		}
		if said := s.read(bad); said != "" {
			n.t.Errorf("port %s: %s", port, said)
		}
	}
}
