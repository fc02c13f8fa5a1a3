package netplug

import "fmt"

// Veth is the pair of interfaces that joins pod and bridge: what one end is
// sent, the other receives. The pod's end takes everything with it when it
// goes: the host's end, addresses and routes.
type Veth struct {
	Host   string // the host's end, a port of the bridge
	Alias  string // what `ip link` shows beside it: network, container, interface
	Bridge string
	MTU    int    // bytes, of both ends; 0 leaves the kernel's choice
	Netns  string // path of the pod's network namespace
	IfName string // the pod's end
	MAC    string // of the pod's end; "" lets the kernel choose
}

// acceptRA is the sysctl that lets router advertisements configure a link.
func acceptRA(link string) string { return "net/ipv6/conf/" + link + "/accept_ra" }

// String turns router advertisements off on the host's end, too: should it ever
// leave the bridge, the pod must not become the node's router.
func (s Veth) String() string {
	mtu, mac := "", ""
	if s.MTU != 0 {
		mtu = fmt.Sprintf(" mtu %d", s.MTU)
	}
	if s.MAC != "" {
		mac = " address " + s.MAC
	}
	return fmt.Sprintf("ip link add %s%s master %s type veth peer name %s%s%s netns %s\nip link set %s up alias %q\nsysctl -qw %s=0",
		s.Host, mtu, s.Bridge, s.IfName, mtu, mac, s.Netns, s.Host, s.Alias, acceptRA(s.Host))
}
