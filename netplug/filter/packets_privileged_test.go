//go:build privileged

package filter

import (
	"net/netip"
	"testing"
	"time"
)

var (
	bridge4, bridge6 = netip.MustParseAddr("10.22.0.1"), netip.MustParseAddr("fd00:22::1")
	anyAddress       = netip.Addr{}
	ownerA           = Owner{Network: "net", ContainerID: "a", IfName: "eth0"}
	ownerB           = Owner{Network: "net", ContainerID: "b", IfName: "eth0"}
)

// at is an address and port.
func at(addr netip.Addr, port uint16) netip.AddrPort { return netip.AddrPortFrom(addr, port) }

// node is what a node has for a network with masquerading and host ports.
func node() []step {
	return []step{
		Ruleset{IPv4}, Ruleset{IPv6},
		Masquerade{"net", pods4}, Masquerade{"net", pods6},
		Hairpin{"net", pods4, "cni0"}, Hairpin{"net", pods6, "cni0"},
		ForwardAccept{"cni0", IPv4}, ForwardAccept{"cni0", IPv6},
	}
}

// A way is one address family's addresses in the lab, and the names that
// package net has for its protocols.
type way struct {
	tcp, udp                   string
	a, b, host, bridge, beyond netip.Addr
}

var ways = []way{
	{"tcp4", "udp4", podA4, podB4, host4, bridge4, outside4},
	{"tcp6", "udp6", podA6, podB6, host6, bridge6, outside6},
}

// ruled runs the test behind each firewall, with bridged frames passing through
// iptables and without.
func ruled(t *testing.T, test func(*lab)) {
	for name, firewall := range hosts {
		for _, call := range []string{"0", "1"} {
			t.Run(name+", bridge-nf-call-iptables="+call, func(t *testing.T) {
				l := newLab(t)
				l.run(firewall)
				l.run("sysctl -qw net.bridge.bridge-nf-call-iptables=" + call + " net.bridge.bridge-nf-call-ip6tables=" + call)
				test(l)
			})
		}
	}
}

func TestMasqueradeHidesPodsOutsideOnly(t *testing.T) {
	ruled(t, func(l *lab) {
		l.apply(node()...)
		for _, w := range ways {
			for _, network := range []string{w.tcp, w.udp} {
				l.serve(l.outside, network, at(w.beyond, 80))
				l.serve(l.b, network, at(w.b, 80))
				l.seen(l.a, network, at(w.beyond, 80), w.host)
				l.seen(l.a, network, at(w.b, 80), w.a)
				l.seen("", network, at(w.b, 80), w.bridge)
			}
		}
	})
}

func TestHostPortReachesThePodFromEverywhere(t *testing.T) {
	ruled(t, func(l *lab) {
		steps := node()
		for _, w := range ways {
			steps = append(steps,
				HostPort{ownerA, TCP, anyAddress, 8080, at(w.a, 80), ""}, HostPort{ownerA, UDP, anyAddress, 8080, at(w.a, 80), ""},
				HostPort{ownerA, TCP, w.host, 8081, at(w.a, 80), ""}, HostPort{ownerA, UDP, w.host, 8081, at(w.a, 80), ""})
		}
		l.apply(steps...)
		// With bridge-nf-call-iptables a frame for the own host port gets the
		// pod's address on the bridge, and has to leave by the port it came in.
		l.run("bridge link set dev veth-a hairpin on")
		for _, w := range ways {
			for _, network := range []string{w.tcp, w.udp} {
				l.serve(l.a, network, at(w.a, 80))
				for _, port := range []uint16{8080, 8081} {
					l.seen(l.outside, network, at(w.host, port), w.beyond)
					l.seen(l.b, network, at(w.host, port), w.bridge)
					l.seen(l.a, network, at(w.host, port), w.bridge) // its own host port
					l.seen("", network, at(w.host, port), w.host)
				}
				l.seen(l.b, network, at(w.bridge, 8080), w.bridge)
				l.refused(l.b, network, at(w.bridge, 8081)) // bound to another address
				l.refused(l.outside, network, at(w.host, 8082))
			}
		}
		for _, network := range []string{"tcp4", "udp4"} {
			l.seen("", network, at(netip.MustParseAddr("127.0.0.1"), 8080), bridge4)
		}
		for _, network := range []string{"tcp6", "udp6"} {
			l.refused("", network, at(netip.IPv6Loopback(), 8080)) // IPv6 has no route_localnet
		}
	})
}

// TestGuardKeepsLoopbackServicesPrivate: route_localnet=1 alone lets a pod reach
// what listens on 127.0.0.1 only.
func TestGuardKeepsLoopbackServicesPrivate(t *testing.T) {
	l := newLab(t)
	private := at(netip.MustParseAddr("127.0.0.1"), 6060)
	l.serve("", "tcp4", private)
	l.in(l.a, "sysctl -qw net.ipv4.conf.all.route_localnet=1; ip addr del 127.0.0.1/8 dev lo; ip route add 127.0.0.1 via 10.22.0.1 src 10.22.0.5")
	if _, err := ask(l.a, "tcp4", private, "", time.Second); err != nil {
		t.Fatalf("without the guard the service is private already, so this test shows nothing: %v", err)
	}
	l.apply(node()...)
	l.refused(l.a, "tcp4", private)
	l.seen("", "tcp4", private, private.Addr())
}

func TestMasqueradeAllHidesEveryClient(t *testing.T) {
	l := newLab(t)
	l.apply(append(node(), MasqueradeAll{"net", pods4}, HostPort{ownerA, TCP, anyAddress, 8080, at(podA4, 80), ""})...)
	l.serve(l.a, "tcp4", at(podA4, 80))
	l.seen(l.outside, "tcp4", at(host4, 8080), bridge4)
}
