//go:build privileged

package filter

import (
	"net"
	"strings"
	"testing"
	"time"
)

func TestSpoofCheckDropsForeignAddresses(t *testing.T) {
	l := newLab(t)
	mac := l.mac(l.a)
	l.serve(l.b, "tcp4", at(podB4, 80))
	l.apply(Ruleset{Bridge}, SpoofCheck{ownerA, "veth-a", mac})
	l.seen(l.a, "tcp4", at(podB4, 80), podA4)

	l.in(l.a, "ip link set eth0 address 02:00:00:00:00:99; ip neigh flush dev eth0")
	l.run("ip neigh flush dev cni0")
	l.in(l.b, "ip neigh flush dev eth0")
	l.refused(l.a, "tcp4", at(podB4, 80))
	l.remove(ownerA)
	if _, err := ask(l.a, "tcp4", at(podB4, 80), "", 3*time.Second); err != nil {
		t.Errorf("after the check is gone: %v", err)
	}
}

func (l *lab) mac(path string) (mac [6]byte) {
	l.Helper()
	text := strings.TrimSpace(l.in(path, "cat /sys/class/net/eth0/address || ip -br link show eth0 | awk '{print $3}'"))
	fields := strings.Fields(l.in(path, "ip -o link show eth0"))
	for i, f := range fields {
		if f == "link/ether" {
			text = fields[i+1]
		}
	}
	parsed, err := net.ParseMAC(text)
	if err != nil {
		l.Fatal(err)
	}
	return [6]byte(parsed)
}
