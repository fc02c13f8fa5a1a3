package logs

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// waitBound is far above what a loaded machine needs.
const waitBound = 30 * time.Second

// eventually waits for a state that nothing announces.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(waitBound); !f(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %s", what, waitBound)
		}
	}
}

func newFollower(t *testing.T, state string) *Follower {
	t.Helper()
	f, err := New(state, slog.New(slog.DiscardHandler))
	must(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func (p *pod) eventually(want string) {
	p.t.Helper()
	eventually(p.t, "the log is converted", func() bool {
		b, err := os.ReadFile(p.Path)
		return err == nil && len(b) >= len(want)
	})
	p.check(want)
}

func TestFollowerLife(t *testing.T) {
	p := newPod(t)
	state := filepath.Join(t.TempDir(), "logs")
	f := newFollower(t, state)
	must(t, f.Start(p.Container)) // before Docker has made its file
	want := p.write(3)
	p.eventually(want)
	want += p.write(3)
	p.eventually(want)
	must(t, f.Start(p.Container)) // again: nothing

	p.rename(p.Path, p.Path+".1")
	must(t, f.Reopen(p.ID))
	p.checkFile(p.Path+".1", want)
	want = p.write(3)
	p.eventually(want)

	// Finish returns with all of it converted: there is nothing to wait for.
	want += p.write(500)
	ended := time.Now()
	must(t, f.Finish(t.Context(), p.Container, ended))
	p.check(want)
	must(t, f.Finish(t.Context(), p.Container, ended))
	p.check(want)
	if err := f.Reopen(p.ID); !errors.Is(err, ErrUnknown) {
		t.Errorf("reopen of a finished log: %v, want ErrUnknown", err)
	}
	must(t, f.Remove(p.ID))
	must(t, f.Remove(p.ID))
	if left, err := os.ReadDir(state); err != nil || len(left) > 0 {
		t.Errorf("state after removal: %v, %v", left, err)
	}
}

func TestFollowerRestart(t *testing.T) {
	p := newPod(t)
	state := t.TempDir()
	f := newFollower(t, state)
	must(t, f.Start(p.Container))
	want := p.write(100)
	p.eventually(want)
	must(t, f.Close())
	if err := f.Start(p.Container); !errors.Is(err, os.ErrClosed) {
		t.Errorf("start after close: %v", err)
	}
	want += p.write(100)

	f = newFollower(t, state)
	must(t, f.Keep(map[string]bool{p.ID: true}))
	must(t, f.Start(p.Container))
	p.eventually(want)
	must(t, f.Close())
	want += p.write(100)

	// It ended while the daemon was away.
	f = newFollower(t, state)
	must(t, f.Finish(t.Context(), p.Container, time.Now()))
	p.check(want)
	must(t, f.Keep(nil))
	if left, err := os.ReadDir(state); err != nil || len(left) > 0 {
		t.Errorf("state of containers that are no more: %v, %v", left, err)
	}
}

func TestManyContainers(t *testing.T) {
	f := newFollower(t, t.TempDir())
	pods := make([]*pod, 100)
	want := make([]string, len(pods))
	for i := range pods {
		pods[i] = newPod(t)
		pods[i].ID = fmt.Sprint("c", i)
		want[i] = pods[i].write(1)
		must(t, f.Start(pods[i].Container))
	}
	for i, p := range pods {
		want[i] += p.write(i)
	}
	for i, p := range pods {
		p.eventually(want[i])
	}
}

func TestInvalidContainersAreRefused(t *testing.T) {
	f := newFollower(t, t.TempDir())
	for name, c := range map[string]Container{
		"no ID":           {Source: "/a", Path: "/b"},
		"a path as ID":    {ID: "../c", Source: "/a", Path: "/b"},
		"relative source": {ID: "c", Source: "a", Path: "/b"},
		"no path":         {ID: "c", Source: "/a"},
	} {
		if err := f.Start(c); err == nil {
			t.Errorf("%s: followed", name)
		}
		if err := f.Finish(t.Context(), c, time.Now()); err == nil {
			t.Errorf("%s: finished", name)
		}
	}
	if err := f.Remove("../../etc/passwd"); err == nil || !strings.Contains(err.Error(), "cannot name a file") {
		t.Errorf("remove of a path: %v", err)
	}
}
