//go:build privileged && linux

package podnet

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// newNamespace makes a network namespace and returns a path to it, good until
// release is called or the test ends.
func newNamespace(t *testing.T) (path string, release func()) {
	t.Helper()
	made := make(chan *os.File)
	go func() {
		// Never unlocked: the thread dies with the goroutine, and only the open
		// file keeps the namespace.
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			t.Errorf("unshare (needs CAP_SYS_ADMIN): %v", err)
			close(made)
			return
		}
		file, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			t.Error(err)
		}
		made <- file
	}()
	file := <-made
	if file == nil {
		t.FailNow()
	}
	release = func() { _ = file.Close() } // twice is harmless
	t.Cleanup(release)
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), file.Fd()), release
}

// pinningManager is a manager whose pins and mounts are gone when the test ends.
func pinningManager(t *testing.T, config Config) *Manager {
	t.Helper()
	m := newManager(t, config)
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		if mounts := mountsBelow(t, config.RunDir); len(mounts) > 0 {
			t.Errorf("mounts are left: %v", mounts)
		}
	})
	return m
}

// mountsBelow lists the mount points in a directory.
func mountsBelow(t *testing.T, dir string) (points []string) {
	t.Helper()
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(table)) {
		if point := strings.Fields(line)[4]; strings.HasPrefix(point, dir) {
			points = append(points, point)
		}
	}
	return points
}

func TestPinOutlivesWhoMadeTheNamespace(t *testing.T) {
	m := pinningManager(t, testConfig(t))
	netns, release := newNamespace(t)
	want, err := os.Readlink(netns)
	if err != nil {
		t.Fatal(err)
	}
	path, err := m.pin(t.Context(), "pod", netns)
	if err != nil {
		t.Fatal(err)
	}
	release()
	runtime.GC()
	if m.pinned("pod") != path {
		t.Fatal("the namespace is not pinned")
	}
	var stat unix.Stat_t
	if err := unix.Stat(path, &stat); err != nil || want != fmt.Sprintf("net:[%d]", stat.Ino) {
		t.Errorf("pinned is %d, want %s: %v", stat.Ino, want, err)
	}
	for range 2 { // the second time there is nothing to do
		if err := m.unpin(t.Context(), "pod"); err != nil {
			t.Error(err)
		}
	}
	if exists(path) || m.pinned("pod") != "" {
		t.Error("the pin is still there")
	}
}

// Pinning again what is pinned, or over what a crash left, gives one mount of
// the right namespace.
func TestPinAgain(t *testing.T) {
	m := pinningManager(t, testConfig(t))
	first, _ := newNamespace(t)
	second, _ := newNamespace(t)
	if err := os.WriteFile(m.pinPath("pod"), nil, 0o600); err != nil { // killed before the mount
		t.Fatal(err)
	}
	for _, netns := range []string{first, first, second} {
		path, err := m.pin(t.Context(), "pod", netns)
		if err != nil {
			t.Fatal(err)
		}
		if same, err := sameFile(netns, path); err != nil || !same {
			t.Errorf("pinned is another namespace: %v", err)
		}
		if mounts := mountsBelow(t, path); len(mounts) != 1 {
			t.Errorf("mounts %v, want one", mounts)
		}
	}
	if err := m.unpin(t.Context(), "pod"); err != nil {
		t.Error(err)
	}
}

func TestPinRefuses(t *testing.T) {
	m := pinningManager(t, testConfig(t))
	netns, _ := newNamespace(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ id, netns, says string }{
		{"../pod", netns, "container ID"}, {"", netns, "container ID"},
		{"pod", file, "no namespace"}, {"pod", file + "gone", "no namespace"},
	} {
		if _, err := m.pin(t.Context(), c.id, c.netns); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("pin %q of %s: %v, want %q", c.id, c.netns, err, c.says)
		}
	}
	if entries, err := os.ReadDir(filepath.Dir(m.pinPath("x"))); err != nil || len(entries) > 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}
