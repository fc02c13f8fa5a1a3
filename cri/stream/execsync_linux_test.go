package stream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestExecSyncReturnsOutputAndCode(t *testing.T) {
	r, err := ExecSync(t.Context(), &localEngine{}, everyContainer,
		[]string{"sh", "-c", "echo out; echo err >&2; exit 7"}, waitBound)
	if err != nil {
		t.Fatal(err)
	}
	if string(r.Stdout) != "out\n" || string(r.Stderr) != "err\n" || r.ExitCode != 7 {
		t.Errorf("got %q, %q, code %d", r.Stdout, r.Stderr, r.ExitCode)
	}
}

func TestExecSyncBoundsOutputAndSaysSo(t *testing.T) {
	const written = 20 << 20
	r, err := ExecSync(t.Context(), &localEngine{}, everyContainer,
		[]string{"sh", "-c", fmt.Sprintf("head -c %d /dev/zero; echo end >&2", written)}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if r.ExitCode != 0 {
		t.Errorf("exit code %d: the command must not notice", r.ExitCode)
	}
	if total := len(r.Stdout) + len(r.Stderr); total > 16<<20 {
		t.Errorf("%d bytes do not fit into the kubelet's message", total)
	}
	if !bytes.Contains(r.Stderr, []byte("output truncated")) {
		t.Errorf("stderr %q does not say that output is missing", r.Stderr)
	}
}

// The tree holds what a kill of the command alone would leave: a child, a child
// in a session of its own, and an orphan.
func TestExecSyncTimeoutKillsTheWholeTree(t *testing.T) {
	mark := fmt.Sprintf("100000.%d%d", os.Getpid(), time.Now().UnixNano())
	script := fmt.Sprintf("sleep %[1]s & setsid sh -c 'sleep %[1]s; :' & (sleep %[1]s &) ; wait", mark)
	engine := &localEngine{}
	_, err := ExecSync(t.Context(), engine, everyContainer, []string{"sh", "-c", script}, 500*time.Millisecond)

	var timeout *TimeoutError
	if !errors.As(err, &timeout) || timeout.Kill != nil {
		t.Fatalf("ExecSync = %v, want a TimeoutError after a kill that worked", err)
	}
	if !errors.Is(err, context.DeadlineExceeded) || status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("%v (%s) is no DeadlineExceeded", err, status.Code(err))
	}
	eventually(t, "the killed processes are gone", func() bool { return len(running(t, mark)) == 0 })
}

// A tree that grows while it is being killed: no process may slip through.
func TestKillOutrunsForks(t *testing.T) {
	mark := fmt.Sprintf("100001.%d%d", os.Getpid(), time.Now().UnixNano())
	script := fmt.Sprintf("i=0; while [ $i -lt 300 ]; do sleep %s & i=$((i+1)); done; wait", mark)
	p, err := (&localEngine{}).Exec(t.Context(), everyContainer, Command{Args: []string{"sh", "-c", script}})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the command forks", func() bool { return len(running(t, mark)) > 3 })
	if err := (startedProcess{process: p}).kill(t.Context(), everyContainer); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the killed processes are gone", func() bool { return len(running(t, mark)) == 0 })
}

func TestCommandStartedTooLateIsKilled(t *testing.T) {
	mark := fmt.Sprintf("100002.%d%d", os.Getpid(), time.Now().UnixNano())
	release := make(chan struct{})
	engine := &localEngine{onStart: func() { <-release }}
	_, err := ExecSync(t.Context(), engine, everyContainer, []string{"sleep", mark}, time.Millisecond)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("ExecSync = %v, want DeadlineExceeded", err)
	}
	close(release)
	eventually(t, "the late command is gone", func() bool { return len(running(t, mark)) == 0 })
}

func TestCallersCancelKills(t *testing.T) {
	mark := fmt.Sprintf("100003.%d%d", os.Getpid(), time.Now().UnixNano())
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		eventually(t, "the command runs", func() bool { return len(running(t, mark)) > 0 })
		cancel()
	}()
	_, err := ExecSync(ctx, &localEngine{}, everyContainer, []string{"sleep", mark}, 0)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("ExecSync = %v, want Canceled", err)
	}
	eventually(t, "the command is gone", func() bool { return len(running(t, mark)) == 0 })
}

// A process that is not in the container's cgroup is another one: the engine's
// numbers are of a PID namespace that is not ours.
func TestForeignProcessIsNotSignalled(t *testing.T) {
	p, err := (&localEngine{}).Exec(t.Context(), "", Command{Args: []string{"sleep", "100000"}})
	if err != nil {
		t.Fatal(err)
	}
	err = (startedProcess{process: p}).kill(t.Context(), "3f2a-not-its-container")
	if err == nil || !strings.Contains(err.Error(), "PID namespace") {
		t.Errorf("kill = %v, want a refusal", err)
	}
	if state, _ := p.State(t.Context()); !state.Running {
		t.Error("the process was killed")
	}
	if err := (startedProcess{process: p}).kill(t.Context(), everyContainer); err != nil {
		t.Error(err)
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add("1 (init) S 0 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 42 1000 100")
	f.Add("77 (a) b (c) R 1 77 77 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 9999 0 0")
	f.Add("77 )(")
	f.Fuzz(func(t *testing.T, line string) {
		s, err := parseStat(line)
		if err == nil && s.state == 0 {
			t.Errorf("parseStat(%q) accepted a line without a state", line)
		}
	})
}

func TestParseStatSkipsTheName(t *testing.T) {
	s, err := parseStat("77 (a) b (c) R 5 76 75 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 9999 0 0")
	want := procStat{pid: 77, parent: 5, session: 75, state: 'R', start: 9999}
	if err != nil || s != want {
		t.Errorf("got %+v, %v, want %+v", s, err, want)
	}
}
