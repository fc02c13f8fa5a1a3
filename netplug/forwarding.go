package netplug

import "strings"

// Forwarding makes the node a router for one address family.
type Forwarding struct{ IPv6 bool }

// String: an IPv6 router ignores router advertisements unless accept_ra is 2
// (Documentation/networking/ip-sysctl.rst), so the uplinks that live by them
// are told first; otherwise the node would lose its own default route.
func (s Forwarding) String() string {
	if !s.IPv6 {
		return "sysctl -qw net/ipv4/ip_forward=1"
	}
	return strings.Join([]string{
		"for link in $(ls /proc/sys/net/ipv6/conf | grep -vx -e all -e default -e lo); do",
		"\t[ \"$(cat /proc/sys/net/ipv6/conf/$link/accept_ra)\" != 1 ] || sysctl -qw net/ipv6/conf/$link/accept_ra=2",
		"done",
		"sysctl -qw net/ipv6/conf/all/forwarding=1",
	}, "\n")
}

// RouteLocalnet lets packets from 127.0.0.1 leave by a link, which a connection
// of the node to its own 127.0.0.1:PORT does once it is on its way to a pod.
// What it opens beside that, the packet filter's guard closes (filter.Hairpin).
type RouteLocalnet struct{ Link string }

func (s RouteLocalnet) String() string {
	return "sysctl -qw " + s.key() + "=1"
}

func (s RouteLocalnet) key() string { return "net/ipv4/conf/" + s.Link + "/route_localnet" }
