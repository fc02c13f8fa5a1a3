package netplug

import (
	"fmt"
	"strings"
)

// Bridge is the switch that the network's pods are plugged into. An existing
// one is brought to the configuration; what the configuration does not name is
// left as it is.
type Bridge struct {
	Name          string
	MTU           int // bytes; 0 leaves the kernel's choice
	Promisc       bool
	VLANFiltering bool
}

// String has three orders of events that matter. The MAC is pinned before the
// first port joins: an unpinned bridge takes the lowest MAC of its ports
// (br_stp_recalculate_bridge_id in net/bridge/br_stp_if.c), and pods that have
// cached the gateway's MAC lose it when that port goes. The MTU is set after
// creation: one given at creation is recomputed when the last port leaves
// (br_mtu_auto_adjust in net/bridge/br_if.c). accept_ra is off before the link
// is up: a pod must not be able to give the node a default route.
func (s Bridge) String() string {
	kind := "bridge"
	if s.VLANFiltering {
		kind = "bridge vlan_filtering 1"
	}
	lines := []string{
		fmt.Sprintf("ip link add %s type %s", s.Name, kind),
		fmt.Sprintf("ip link set %s address $(ip -br link show %s | awk '{print $3}')", s.Name, s.Name),
	}
	if s.MTU != 0 {
		lines = append(lines, fmt.Sprintf("ip link set %s mtu %d", s.Name, s.MTU))
	}
	if s.Promisc {
		lines = append(lines, fmt.Sprintf("ip link set %s promisc on", s.Name))
	}
	lines = append(lines,
		fmt.Sprintf("sysctl -qw net/ipv6/conf/%s/accept_ra=0", s.Name),
		fmt.Sprintf("ip link set %s up", s.Name))
	return strings.Join(lines, "\n")
}
