package stream

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/websocket"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func TestExecOverSPDY(t *testing.T) {
	for name, config := range map[string]Config{"plain": {}, "tls": newCertificate(t, "one").config()} {
		t.Run(name, func(t *testing.T) {
			s := listen(t, config, &localEngine{})
			streams := Streams{Stdin: true, Stdout: true, Stderr: true}
			m := newTerminal(t, execURL(t, s, streams, "sh", "-c", "cat; echo problem >&2; exit 3"), streams)
			if _, err := io.WriteString(m.stdin, "hello"); err != nil {
				t.Fatal(err)
			}
			// The end of input reaches the command, and its output still comes.
			if err := m.stdin.Close(); err != nil {
				t.Fatal(err)
			}
			if out, errs := readAll(t, m.stdout), readAll(t, m.stderr); out != "hello" || errs != "problem\n" {
				t.Errorf("stdout %q, stderr %q", out, errs)
			}
			if _, code := m.status(); code != "3" {
				t.Errorf("exit code %q, want 3", code)
			}
		})
	}
}

func TestExecOverWebSocket(t *testing.T) {
	s := listen(t, Config{}, &localEngine{})
	url := execURL(t, s, Streams{Stdout: true}, "echo", "hello")
	config, err := websocket.NewConfig("ws"+strings.TrimPrefix(url, "http"), s.URL())
	if err != nil {
		t.Fatal(err)
	}
	config.Protocol = []string{"v4.channel.k8s.io"}
	ws, err := config.DialContext(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ws.Close() }()
	channels := map[byte]string{}
	for {
		var frame []byte
		if err := websocket.Message.Receive(ws, &frame); err != nil {
			break
		}
		channels[frame[0]] += string(frame[1:])
	}
	if channels[1] != "hello\n" || !strings.Contains(channels[3], "Success") {
		t.Errorf("channels %q, want output on 1 and success on 3", channels)
	}
}

func TestAttachAndResize(t *testing.T) {
	engine := &localEngine{resized: make(chan [2]uint16, 1)}
	s := listen(t, Config{}, engine)
	streams := Streams{Stdin: true, Stdout: true, TTY: true}
	r, err := s.Attach(&cri.AttachRequest{ContainerId: "c", Stdin: true, Stdout: true, Tty: true})
	if err != nil {
		t.Fatal(err)
	}
	m := newTerminal(t, r.GetUrl(), streams)
	if _, err := io.WriteString(m.size, `{"Width":120,"Height":40}`); err != nil {
		t.Fatal(err)
	}
	if size := <-engine.resized; size != [2]uint16{120, 40} {
		t.Errorf("resized to %v", size)
	}
	if _, err := io.WriteString(m.stdin, "echoed\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(m.stdout).ReadString('\n'); line != "echoed\n" {
		t.Errorf("read %q, %v", line, err)
	}
}

func TestURLWorksOnce(t *testing.T) {
	s := listen(t, Config{BaseURL: "http://node.example/cri/streams"}, &localEngine{})
	streams := Streams{Stdout: true}
	url := execURL(t, s, streams, "true")
	if !strings.HasPrefix(url, "http://node.example/cri/streams/exec/") {
		t.Fatalf("URL %s is not below the base URL", url)
	}
	direct := strings.Replace(url, "http://node.example", "http://"+s.listener.Addr().String(), 1)
	m := newTerminal(t, direct, streams)
	if message, code := m.status(); code != "0" {
		t.Fatalf("first use: %s", message)
	}
	for name, url := range map[string]string{
		"used": direct, "guessed": direct + "x",
		"another method's": strings.Replace(execURLOn(t, s, streams, direct), "/exec/", "/attach/", 1),
	} {
		response, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusNotFound {
			t.Errorf("%s URL answers %s, want 404", name, response.Status)
		}
	}
}

// execURLOn is execURL with the host of another URL.
func execURLOn(t *testing.T, s *Server, streams Streams, like string) string {
	url := execURL(t, s, streams, "true")
	return like[:strings.LastIndexByte(like, '/')] + url[strings.LastIndexByte(url, '/'):]
}

func TestInvalidRequestsAreRefused(t *testing.T) {
	s := listen(t, Config{}, &localEngine{})
	ok := cri.ExecRequest{ContainerId: "c", Cmd: []string{"true"}, Stdout: true}
	for name, change := range map[string]func(*cri.ExecRequest){
		"no container":   func(r *cri.ExecRequest) { r.ContainerId = "" },
		"no command":     func(r *cri.ExecRequest) { r.Cmd = nil },
		"no stream":      func(r *cri.ExecRequest) { r.Stdout = false },
		"tty and stderr": func(r *cri.ExecRequest) { r.Tty, r.Stderr = true, true },
	} {
		r := cri.ExecRequest{ContainerId: ok.ContainerId, Cmd: ok.Cmd, Stdout: true}
		change(&r)
		if _, err := s.Exec(&r); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: %v, want InvalidArgument", name, err)
		}
	}
	if _, err := s.PortForward(&cri.PortForwardRequest{PodSandboxId: "p", Port: []int32{70000}}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("port 70000: %v, want InvalidArgument", err)
	}
}

// The engine keeps a command running whose client is gone. A terminal's is hung
// up, also when its output has ended already.
func TestClientLeavingHangsUpItsTerminal(t *testing.T) {
	// Under nohup(1) the commands would inherit that SIGHUP is ignored; what is
	// handled here has its default again after execve(2).
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	engine := &localEngine{}
	s := listen(t, Config{}, engine)
	for i, script := range []string{"sleep %s; :", "exec >&- 2>&-; sleep %s; :"} {
		mark := fmt.Sprintf("10001%d.%d%d", i, os.Getpid(), time.Now().UnixNano())
		streams := Streams{Stdin: true, Stdout: true, TTY: true}
		m := newTerminal(t, execURL(t, s, streams, "sh", "-c", fmt.Sprintf(script, mark)), streams)
		eventually(t, "the command runs", func() bool { return len(running(t, mark)) == 2 })
		if err := m.conn.Close(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the command was hung up", func() bool { return len(running(t, mark)) == 0 })
	}
	// Docker ends a terminal's output with its input.
	if n := engine.ends.Load(); n != 0 {
		t.Errorf("the end of a terminal's input was delivered %d times", n)
	}
}

func TestLifetimeEndsASession(t *testing.T) {
	t.Parallel()
	s := listen(t, Config{Lifetime: time.Second}, &localEngine{})
	streams := Streams{Stdin: true, Stdout: true}
	m := newTerminal(t, execURL(t, s, streams, "cat"), streams)
	readAll(t, m.stdout) // Ends, although neither client nor command does.
}

func TestIdleEndsASession(t *testing.T) {
	t.Parallel()
	s := listen(t, Config{Idle: time.Second}, &localEngine{})
	streams := Streams{Stdin: true, Stdout: true}
	m := newTerminal(t, execURL(t, s, streams, "cat"), streams)
	readAll(t, m.stdout)
}

func TestCloseLetsSessionsEndThenEndsThem(t *testing.T) {
	s, err := Listen(Config{}, &localEngine{})
	if err != nil {
		t.Fatal(err)
	}
	streams := Streams{Stdin: true, Stdout: true}
	polite := newTerminal(t, execURL(t, s, streams, "cat"), streams)
	url := execURL(t, s, streams, "true")

	ctx, cancel := context.WithCancel(t.Context())
	closed := make(chan error, 1)
	go func() { closed <- s.Close(ctx) }()
	eventually(t, "the server stops accepting", func() bool {
		_, err := http.Get(url)
		return err != nil
	})
	// An open session still works.
	if _, err := io.WriteString(polite.stdin, "still here\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(polite.stdout).ReadString('\n'); line != "still here\n" {
		t.Errorf("read %q, %v", line, err)
	}
	select {
	case err := <-closed:
		t.Fatalf("Close returned with a session open: %v", err)
	default:
	}
	cancel()
	if err := <-closed; err != nil {
		t.Error(err)
	}
	readAll(t, polite.stdout)
}
