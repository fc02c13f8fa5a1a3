//go:build privileged

package filter

import (
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// A client that keeps its socket, as a resolver or a game does.
type client struct{ net.Conn }

func (l *lab) client(path, network string, to netip.AddrPort) client {
	l.Helper()
	var c client
	err := inside(path, func() (err error) {
		c.Conn, err = net.Dial(network, to.String())
		return err
	})
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { l.close(c) })
	return c
}

// answered sends and tells whether somebody answers.
func (c client) answered() bool {
	if _, err := io.WriteString(c, "?"); err != nil {
		return false // an ICMP error for the packet before
	}
	if err := c.SetReadDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
		return false
	}
	_, err := c.Read(make([]byte, 64))
	return err == nil
}

// reached is answered for a client that should be: its first packets may be lost
// while a neighbour is looked for (a second, RFC 4861 section 10).
func (c client) reached() bool {
	for range 5 {
		if c.answered() {
			return true
		}
	}
	return false
}

// TestUDPClientsFollowThePort: connection tracking would send them for ever to
// where the port led when they began.
func TestUDPClientsFollowThePort(t *testing.T) {
	for _, w := range ways {
		for name, hostIP := range map[string]netip.Addr{"any address": anyAddress, "bound": w.host} {
			t.Run(w.udp+" "+name, func(t *testing.T) {
				l := newLab(t)
				l.apply(node()...)
				l.serve(l.a, w.udp, at(w.a, 80))
				l.serve(l.b, w.udp, at(w.b, 80))
				c := l.client(l.outside, w.udp, at(w.host, 5353))
				if c.answered() {
					t.Fatal("answered before there is a mapping")
				}
				c.answered() // the connection to the host itself is tracked now
				l.apply(HostPort{ownerA, UDP, hostIP, 5353, at(w.a, 80), ""})
				if !c.reached() {
					t.Error("the client from before the ADD stays with the host")
				}
				l.apply(HostPort{ownerB, UDP, hostIP, 5353, at(w.b, 80), ""}) // A leaked
				l.in(l.a, "ip link set eth0 down")
				if !c.reached() {
					t.Error("the client stays with the former owner of the port")
				}
				l.remove(ownerB)
				if got := l.run("conntrack -L -p udp -f " + family(w) + " --orig-port-dst 5353 2>/dev/null"); strings.Contains(got, w.b.String()) {
					t.Errorf("after DEL, tracked still:\n%s", got)
				}
			})
		}
	}
}

func family(w way) string {
	if w.a.Is6() {
		return "ipv6"
	}
	return "ipv4"
}

// TestOthersConnectionsStay: the reference forgets every connection to the
// port's number, wherever it goes.
func TestOthersConnectionsStay(t *testing.T) {
	l := newLab(t)
	l.apply(node()...)
	l.serve(l.outside, "udp4", at(outside4, 53))
	resolver := l.client(l.a, "udp4", at(outside4, 53))
	l.serve("", "tcp4", at(host4, 53))
	if !resolver.reached() {
		t.Fatal("no answer from outside")
	}
	session := l.client(l.outside, "tcp4", at(host4, 53))
	before := l.run("conntrack -L 2>/dev/null | grep -c port=53")
	l.apply(HostPort{ownerB, UDP, anyAddress, 53, at(podB4, 53), ""}, HostPort{ownerB, TCP, anyAddress, 53, at(podB4, 53), ""})
	l.remove(ownerB)
	if after := l.run("conntrack -L 2>/dev/null | grep -c port=53"); after != before || before != "2\n" {
		t.Errorf("%s connections to port 53 elsewhere became %s", before, after)
	}
	l.Logf("the session at %v lives", session.LocalAddr())
}

// TestTCPConnectionsOfARemovedPodAreForgotten: the client learns that its
// server is gone instead of waiting for its own timeout.
func TestTCPConnectionsOfARemovedPodAreForgotten(t *testing.T) {
	l := newLab(t)
	l.apply(append(node(), HostPort{ownerA, TCP, anyAddress, 8080, at(podA4, 80), ""})...)
	l.serve(l.a, "tcp4", at(podA4, 80))
	l.client(l.outside, "tcp4", at(host4, 8080))
	if got := l.run("conntrack -L -p tcp 2>/dev/null"); !strings.Contains(got, podA4.String()) {
		t.Fatalf("not tracked: %s", got)
	}
	l.remove(ownerA)
	if got := l.run("conntrack -L -p tcp 2>/dev/null"); strings.Contains(got, podA4.String()) {
		t.Errorf("tracked still: %s", got)
	}
}

// TestAPodWithThousandsOfPorts: its transaction is larger than a socket's usual
// buffer, and connection tracking is read once for all of them.
func TestAPodWithThousandsOfPorts(t *testing.T) {
	const first, count = 20000, 2000
	l := newLab(t)
	l.serve(l.a, "udp4", at(podA4, 80))
	c := l.client(l.outside, "udp4", at(host4, first+count-1))
	if c.answered() {
		t.Fatal("answered before there is a mapping")
	}
	c.answered() // the connection to the host itself is tracked now
	steps := node()
	for i := range uint16(count) {
		steps = append(steps, HostPort{ownerA, UDP, anyAddress, first + i, at(podA4, 80), ""})
	}
	l.apply(steps...)
	if !c.reached() {
		t.Error("the client from before the ADD stays with the host")
	}
	l.remove(ownerA)
	if left := l.run("nft list map ip mascri hostports"); strings.Contains(left, podA4.String()) {
		t.Errorf("left after DEL:\n%.200s", left)
	}
}
