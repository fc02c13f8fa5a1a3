//go:build e2e && linux

package docker

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestE2EExec(t *testing.T) {
	e := connect(t)
	s, spec := pod(t, e, sandbox(t))
	c := mustRunContainer(t, e, spec)

	p, err := e.Exec(t.Context(), c.ID, Command{
		Args:    []string{"sh", "-c", "cat; echo complaint >&2; exit 3"},
		Streams: Streams{Stdin: true, Stdout: true, Stderr: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	state, err := p.State(t.Context())
	if err != nil || !state.Running || state.PID == 0 {
		t.Errorf("state %+v, error %v", state, err)
	}
	if _, err := p.Write([]byte("some input")); err != nil {
		t.Error(err)
	}
	if err := p.CloseWrite(); err != nil {
		t.Error(err)
	}
	var out, errs bytes.Buffer
	if err := p.Output(&out, &errs); err != nil {
		t.Error(err)
	}
	if out.String() != "some input" || errs.String() != "complaint\n" {
		t.Errorf("output %q, errors %q", out.String(), errs.String())
	}
	if code := awaitExit(t, p); code != 3 {
		t.Errorf("exit code %d, want 3", code)
	}

	output, code := run(t, e, c.ID, "no-such-program")
	if code != 127 && code != 126 {
		t.Errorf("a program that is not there: exit code %d, output %q", code, output)
	}
	_, err = e.Exec(t.Context(), "no-such-container", Command{Args: []string{"true"}})
	wantError(t, "exec in no container", err, ErrNotFound)
	if err := e.Kill(t.Context(), c.ID, "KILL"); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Wait(t.Context(), c.ID); err != nil {
		t.Fatal(err)
	}
	_, err = e.Exec(t.Context(), c.ID, Command{Args: []string{"true"}})
	wantError(t, "exec in a stopped container", err, ErrNotRunning)
	_, err = e.Attach(t.Context(), c.ID, Streams{Stdout: true})
	wantError(t, "attach to a stopped container", err, ErrNotRunning)
	_, err = e.Exec(t.Context(), s.ID, Command{})
	wantError(t, "an empty command", err, ErrInvalid)
}

// A command that leaves a child behind which holds its output open ends all
// the same.
func TestE2EExecWithBackgroundChild(t *testing.T) {
	e := connect(t)
	_, spec := pod(t, e, sandbox(t))
	c := mustRunContainer(t, e, spec)
	begin := time.Now()
	output, code := run(t, e, c.ID, "sh", "-c", "sleep 600 & echo done")
	if took := time.Since(begin); took > time.Minute || output != "done\n" || code != 0 {
		t.Errorf("after %s: output %q, exit code %d", took, output, code)
	}
}

func TestE2ETerminal(t *testing.T) {
	e := connect(t)
	_, spec := pod(t, e, sandbox(t))
	c := mustRunContainer(t, e, spec)
	p, err := e.Exec(t.Context(), c.ID, Command{Args: []string{"sh"}, Streams: Streams{Stdin: true, Stdout: true, Terminal: true}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.Resize(t.Context(), 123, 45); err != nil {
		t.Error(err)
	}
	// ctrl-p and ctrl-q must reach the shell and not detach.
	if _, err := p.Write([]byte("\x10\x11stty size; exit 4\n")); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := p.Output(&out, nil); err != nil {
		t.Error(err)
	}
	if code := awaitExit(t, p); !strings.Contains(out.String(), "45 123") || code != 4 {
		t.Errorf("output %q, exit code %d", out.String(), code)
	}
}

func TestE2EAttach(t *testing.T) {
	e := connect(t)
	_, spec := pod(t, e, sandbox(t))
	spec.Command = []string{"sh", "-c", "read line; echo got $line; read line; echo bad $line >&2"}
	spec.Stdin = true
	c := mustRunContainer(t, e, spec)
	s, err := e.Attach(t.Context(), c.ID, Streams{Stdin: true, Stdout: true, Stderr: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Write([]byte("one\ntwo\n")); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	if err := s.Output(&out, &errs); err != nil {
		t.Error(err)
	}
	if out.String() != "got one\n" || errs.String() != "bad two\n" {
		t.Errorf("output %q, errors %q", out.String(), errs.String())
	}
}

// Close makes a blocked Output return.
func TestE2ECloseEndsOutput(t *testing.T) {
	e := connect(t)
	_, spec := pod(t, e, sandbox(t))
	c := mustRunContainer(t, e, spec)
	s, err := e.Attach(t.Context(), c.ID, Streams{Stdout: true})
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(100*time.Millisecond, func() { _ = s.Close() })
	ended := make(chan error, 1)
	go func() { ended <- s.Output(nil, nil) }()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("Output still waits")
	}
}
