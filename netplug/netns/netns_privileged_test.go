//go:build privileged && linux

package netns

import (
	"errors"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mascri/mascri/netplug/netns/netnstest"
)

func current(t *testing.T) string {
	t.Helper()
	name, err := os.Readlink(threadNS)
	if err != nil {
		t.Fatal(err)
	}
	return name
}

func TestDoRunsInsideAndComesBack(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	path := netnstest.New(t)
	before := current(t)
	inside := ""
	want := errors.New("f's own error")
	err := Do(path, func() (err error) {
		inside, err = os.Readlink(threadNS)
		return errors.Join(err, want)
	})
	if !errors.Is(err, want) {
		t.Errorf("Do = %v, want f's error in it", err)
	}
	if target, _ := os.Readlink(path); inside != target {
		t.Errorf("f ran in %s, want %s", inside, target)
	}
	if after := current(t); after != before {
		t.Errorf("the caller's thread moved from %s to %s", before, after)
	}
}

func TestSocketKeepsItsNamespace(t *testing.T) {
	path := netnstest.New(t)
	var l net.Listener
	err := Do(path, func() (err error) {
		if err := loopbackUp(); err != nil {
			return err
		}
		l, err = net.Listen("tcp4", "127.0.0.1:0")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	address := l.Addr().String()
	if c, err := net.Dial("tcp4", address); err == nil {
		_ = c.Close()
		t.Fatalf("%s answers outside its namespace", address)
	}
	var c net.Conn
	if err := Do(path, func() (err error) { c, err = net.Dial("tcp4", address); return err }); err != nil {
		t.Fatalf("dial inside: %v", err)
	}
	_ = c.Close()
}

// loopbackUp is `ip link set lo up`, by ioctl: see netdevice(7).
func loopbackUp() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(s) }()
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, lo)
}

func TestGoexitAndConcurrencyLeaveNoThreadInside(t *testing.T) {
	path := netnstest.New(t)
	before := threadsInside(t, path)
	if err := Do(path, func() error { runtime.Goexit(); return nil }); !errors.Is(err, errGoexit) {
		t.Errorf("Do(Goexit) = %v, want %v", err, errGoexit)
	}
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			if err := Do(path, func() error { return nil }); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()

	if after := threadsInside(t, path); after > before {
		t.Errorf("%d threads are inside the namespace, %d were before", after, before)
	}
}

// threadsInside counts the threads of this process that are in the namespace
// at path. The thread that made it can be one of them: when it is the main
// thread, the runtime parks it instead of ending it.
func threadsInside(t *testing.T, path string) (n int) {
	t.Helper()
	inside, err := os.Readlink(path)
	if err != nil {
		t.Fatal(err)
	}
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		// A thread that ended since ReadDir is in no namespace.
		ns, err := os.Readlink("/proc/self/task/" + task.Name() + "/ns/net")
		if err == nil && ns == inside {
			n++
		}
	}
	return n
}
