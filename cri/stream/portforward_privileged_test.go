//go:build privileged && linux

package stream

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// TestMain lets the tests run in a namespace just made (unshare -Urnm), whose
// loopback is down.
func TestMain(m *testing.M) {
	if err := loopbackUp(); err != nil {
		fmt.Fprintln(os.Stderr, "set loopback up:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// newPod makes a network namespace in which answer listens on ::1 and on
// 127.0.0.1 alone, on ports that it returns, and a path to enter it.
func newPod(t *testing.T) (path, port4, port6 string) {
	t.Helper()
	type made struct {
		file *os.File
		err  error
	}
	ch := make(chan made)
	ports := [2]string{}
	go func() {
		// Never unlocked: the thread dies with the goroutine.
		runtime.LockOSThread()
		m := made{}
		if m.err = unix.Unshare(unix.CLONE_NEWNET); m.err == nil {
			m.err = loopbackUp()
		}
		if m.err == nil {
			m.file, m.err = os.Open("/proc/thread-self/ns/net")
			// Sockets keep their namespace, on whichever thread they are served.
			ports = [2]string{pod(t, "tcp4", "127.0.0.1:0", answer), pod(t, "tcp6", "[::1]:0", answer)}
		}
		ch <- m
	}()
	m := <-ch
	if m.err != nil {
		t.Fatalf("make a network namespace (this test needs CAP_SYS_ADMIN): %v", m.err)
	}
	t.Cleanup(func() { _ = m.file.Close() })
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), m.file.Fd()), ports[0], ports[1]
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
	if err := unix.IoctlIfreq(s, unix.SIOCGIFFLAGS, lo); err != nil || lo.Uint16()&unix.IFF_UP != 0 {
		return err
	}
	lo.SetUint16(lo.Uint16() | unix.IFF_UP)
	return unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, lo)
}

func TestPortForwardEntersThePod(t *testing.T) {
	path, port4, port6 := newPod(t)
	if c, err := net.Dial("tcp4", "127.0.0.1:"+port4); err == nil {
		_ = c.Close()
		t.Fatalf("port %s answers outside the pod", port4)
	}
	s := listen(t, Config{}, &localEngine{netns: path})
	u := newTunnel(t, s)
	checkAnswer(t, u, port4, "over ipv4")
	checkAnswer(t, u, port6, "over ipv6")
	checkNoneLeft(t)
}
