package netnstest

import (
	"fmt"
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// threadNS is the calling thread's namespace (proc(5)).
const threadNS = "/proc/thread-self/ns/net"

// Enter moves the calling goroutine's thread into a new network namespace and
// returns a path to it. The thread is never unlocked, so it ends with the test
// and the namespace with it. t.Run starts a new goroutine: enter in the subtest.
func Enter(t testing.TB) string {
	t.Helper()
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatalf("unshare the network namespace (needs root or `unshare -Urnm`): %v", err)
	}
	return fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), unix.Gettid())
}

// New makes a network namespace with all its links down and returns a path to
// it that lives as long as the test.
func New(t testing.TB) string {
	t.Helper()
	type made struct {
		file *os.File
		err  error
	}
	result := make(chan made)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine, and the open file keeps the namespace
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			result <- made{nil, err}
			return
		}
		file, err := os.Open(threadNS)
		result <- made{file, err}
	}()
	m := <-result
	if m.err != nil {
		t.Fatalf("make a network namespace (needs root or `unshare -Urnm`): %v", m.err)
	}
	t.Cleanup(func() {
		if err := m.file.Close(); err != nil {
			t.Error(err)
		}
	})
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), m.file.Fd())
}
