package stream

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// everyContainer is an ID that the cgroup path of each process holds.
const everyContainer = "/"

// waitBound is far above what a loaded machine needs; no test waits for it to
// pass unless something is wrong.
const waitBound = 30 * time.Second

// localEngine runs commands on this machine, each in a session of its own as a
// container engine does.
type localEngine struct {
	netns   string
	onStart func() // runs before a command starts, when set
	resized chan [2]uint16
	ends    atomic.Int32 // of input, that were delivered
}

func (e *localEngine) NetNS(context.Context, string) (string, error) { return e.netns, nil }

func (e *localEngine) Exec(_ context.Context, _ string, c Command) (Process, error) {
	if e.onStart != nil {
		e.onStart()
	}
	cmd := exec.Command(c.Args[0], c.Args[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	p := &localProcess{resized: e.resized, ends: &e.ends, exited: make(chan struct{})}
	var in, out, errs *os.File
	var err error
	for _, pipe := range []struct{ r, w **os.File }{{&in, &p.in}, {&p.out, &out}, {&p.err, &errs}} {
		if *pipe.r, *pipe.w, err = os.Pipe(); err != nil {
			return nil, err
		}
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, errs
	if !c.Stdin {
		cmd.Stdin = nil
	}
	err = cmd.Start()
	err = errors.Join(err, in.Close(), out.Close(), errs.Close())
	if err != nil {
		return nil, err
	}
	p.pid = cmd.Process.Pid
	go func() {
		_ = cmd.Wait()
		p.code = cmd.ProcessState.ExitCode()
		close(p.exited)
	}()
	return p, nil
}

// Attach gives a session that echoes.
func (e *localEngine) Attach(ctx context.Context, id string, s Streams) (Session, error) {
	return e.Exec(ctx, id, Command{Args: []string{"cat"}, Streams: s})
}

type localProcess struct {
	in, out, err *os.File
	pid, code    int
	exited       chan struct{}
	resized      chan [2]uint16
	ends         *atomic.Int32
	once         sync.Once
}

func (p *localProcess) Write(b []byte) (int, error) { return p.in.Write(b) }

func (p *localProcess) CloseWrite() error {
	p.ends.Add(1)
	return p.in.Close()
}

func (p *localProcess) Close() error {
	p.once.Do(func() {
		for _, f := range []*os.File{p.in, p.out, p.err} {
			_ = f.Close()
		}
	})
	return nil
}

func (p *localProcess) Output(stdout, stderr io.Writer) error {
	var wg sync.WaitGroup
	var errs [2]error
	for i, s := range []struct {
		w io.Writer
		r *os.File
	}{{stdout, p.out}, {stderr, p.err}} {
		if s.w == nil {
			s.w = io.Discard
		}
		wg.Go(func() { _, errs[i] = io.Copy(s.w, s.r) })
	}
	wg.Wait()
	return errors.Join(errs[:]...)
}

func (p *localProcess) Resize(_ context.Context, width, height uint16) error {
	p.resized <- [2]uint16{width, height}
	return nil
}

func (p *localProcess) State(context.Context) (State, error) {
	select {
	case <-p.exited:
		return State{ExitCode: p.code}, nil
	default:
		return State{Running: true, PID: p.pid}, nil
	}
}

// running lists the processes whose command line contains mark, zombies not
// counted: their command line is empty.
func running(t *testing.T, mark string) (pids []string) {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		line, err := os.ReadFile("/proc/" + e.Name() + "/cmdline")
		if err == nil && strings.Contains(string(line), mark) {
			pids = append(pids, e.Name())
		}
	}
	return pids
}

// eventually waits for a state that nothing announces.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(waitBound); !f(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %s", what, waitBound)
		}
	}
}
