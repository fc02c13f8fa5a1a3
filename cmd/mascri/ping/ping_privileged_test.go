//go:build privileged && linux

package ping

import (
	"context"
	"net/netip"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// inNewNamespace moves the test's goroutine to a network namespace of its own.
// Its thread is never unlocked: the runtime ends it with the test.
func inNewNamespace(t *testing.T) {
	t.Helper()
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatalf("unshare(CLONE_NEWNET): %v (needs CAP_SYS_ADMIN)", err)
	}
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		t.Fatalf("ip link set lo up: %v: %s", err, out)
	}
}

func TestFrom(t *testing.T) {
	for _, address := range []string{"127.0.0.1", "::1"} {
		t.Run(address, func(t *testing.T) {
			inNewNamespace(t)
			for _, path := range []string{"", "/proc/thread-self/ns/net"} {
				took, err := From(t.Context(), path, netip.MustParseAddr(address))
				if err != nil || took <= 0 || took > interval {
					t.Errorf("From(%q) = %v, %v", path, took, err)
				}
			}
		})
	}
}

// An address that nobody has: address resolution on the link goes on for longer
// than the context allows, so that the context ends the waiting.
func TestFromGivesUp(t *testing.T) {
	inNewNamespace(t)
	for _, args := range [][]string{
		{"link", "add", "void", "type", "veth", "peer", "name", "far"},
		{"link", "set", "void", "up"},
		{"link", "set", "far", "up"},
		{"route", "add", "192.0.2.0/24", "dev", "void"},
	} {
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			t.Fatalf("ip %v: %v: %s", args, err, out)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if took, err := From(ctx, "", netip.MustParseAddr("192.0.2.1")); err == nil {
		t.Errorf("an address that nobody has answered after %v", took)
	}
}
