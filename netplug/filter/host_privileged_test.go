//go:build privileged

package filter

import (
	"errors"
	"net/netip"
	"testing"
)

// TestIsLocal asks about addresses that are the host's, or not, in every way.
func TestIsLocal(t *testing.T) {
	l := newLab(t)
	l.run(`ip link add more type bridge; ip link set more up; ip addr add 203.0.113.7/32 dev more; ip addr add 2001:db8:7::7/128 dev more nodad
ip route add unreachable 198.51.100.1; ip route add blackhole 198.51.100.2; ip route add prohibit 198.51.100.3; ip -6 route add blackhole 2001:db8:8::1
ip route del default 2>/dev/null || true`)
	c, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	tracker := &tracker{Conn: c}
	t.Cleanup(func() {
		if err := errors.Join(tracker.close(), c.Close()); err != nil {
			t.Error(err)
		}
	})
	node, err := tracker.node()
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{
		"203.0.113.7": true, "2001:db8:7::7": true, "127.0.0.53": true, "::1": true, host4.String(): true, host6.String(): true,
		outside4.String(): false, outside6.String(): false, podA4.String(): false, "203.0.113.8": false,
		"198.51.100.1": false, "198.51.100.2": false, "198.51.100.3": false, "2001:db8:8::1": false, "224.0.0.251": false,
	} {
		got, err := node.isLocal(netip.MustParseAddr(text))
		if err != nil || got != want {
			t.Errorf("%s is the host's: %t, %v, expected %t", text, got, err, want)
		}
	}
	all, err := node.list()
	if err != nil || !all[netip.MustParseAddr("203.0.113.7")] || !all[netip.MustParseAddr("2001:db8:7::7")] || all[outside4] {
		t.Errorf("listed %v, %v", all, err)
	}
}
