package netplug

import (
	"fmt"
	"net/netip"
	"strings"
)

// PodSettings are the pod's end's sysctls, set before it is up.
type PodSettings struct {
	Netns, IfName string
	IPv6          bool // the pod has an IPv6 address
	DAD           bool // probe addresses before use
}

// sysctls lists key and value; they are under the pod's /proc/sys.
func (s PodSettings) sysctls() [][2]string {
	conf := "net/ipv6/conf/" + s.IfName
	all := [][2]string{
		// When the link comes up with an address that another pod had before, its
		// neighbours learn the new MAC at once (arp_notify in ip-sysctl.rst).
		{"net/ipv4/conf/" + s.IfName + "/arp_notify", "1"},
		// Also the link-local address of an IPv4 pod need not be probed.
		{conf + "/accept_dad", "0"},
	}
	if s.DAD {
		all[1][1] = "1"
		all = append(all, [2]string{conf + "/enhanced_dad", "1"})
	}
	if !s.IPv6 {
		return all
	}
	return append(all,
		// Docker disables IPv6 in a namespace without an IPv6 network of its own.
		[2]string{"net/ipv6/conf/lo/disable_ipv6", "0"},
		[2]string{conf + "/disable_ipv6", "0"},
		[2]string{conf + "/keep_addr_on_down", "1"},
		// What the IPAM plugin says is all there is: no router's advertisement adds to it.
		[2]string{conf + "/accept_ra", "0"})
}

func (s PodSettings) String() string {
	var words []string
	for _, kv := range s.sysctls() {
		words = append(words, kv[0]+"="+kv[1])
	}
	return inPod(s.Netns, "sysctl -qw "+strings.Join(words, " "))
}

// PodAddress is one of the pod's addresses.
type PodAddress struct {
	Netns, IfName string
	Address       netip.Prefix
	DAD           bool // IPv6: probe it before use
}

func (s PodAddress) String() string {
	return inPod(s.Netns, fmt.Sprintf("ip addr add %s%s dev %s%s", s.Address, broadcast(s.Address), s.IfName, nodad(s.Address, s.DAD)))
}

// broadcast is what the library adds to an IPv4 subnet large enough to have a
// broadcast address (RFC 3021), and `ip` does only when asked.
func broadcast(p netip.Prefix) string {
	if p.Addr().Is4() && p.Bits() < 31 {
		return " brd +"
	}
	return ""
}

// PodUp starts the pod's end.
type PodUp struct{ Netns, IfName string }

func (s PodUp) String() string {
	return inPod(s.Netns, fmt.Sprintf("ip link set %s up", s.IfName))
}

// PodRoute is one of the pod's routes.
type PodRoute struct {
	Netns, IfName string
	Route         Route
}

func (s PodRoute) String() string {
	words := []string{"ip route append", s.Route.Dst.String()}
	if s.Route.Gateway.IsValid() {
		words = append(words, "via", s.Route.Gateway.String())
	}
	words = append(words, "dev", s.IfName)
	for _, option := range []struct {
		name  string
		value int
	}{{"table", s.Route.Table}, {"metric", s.Route.Priority}, {"mtu", s.Route.MTU}, {"advmss", s.Route.AdvMSS}, {"scope", s.Route.Scope}} {
		if option.value != 0 {
			words = append(words, option.name, fmt.Sprint(option.value))
		}
	}
	return inPod(s.Netns, strings.Join(words, " "))
}

// Carrier waits until the host's end forwards: a packet that the pod sends as
// soon as ADD has returned must not be lost.
type Carrier struct{ Host string }

func (s Carrier) String() string {
	return fmt.Sprintf("until ip link show %s | grep -q 'state UP'; do sleep 0.01; done", s.Host)
}

// PodSettled waits until the kernel has probed the pod's IPv6 addresses, where
// enabledad asked for it.
type PodSettled struct{ Netns, IfName string }

func (s PodSettled) String() string {
	return fmt.Sprintf("while %s | grep -q tentative; do sleep 0.02; done", inPod(s.Netns, "ip -6 addr show "+s.IfName))
}
