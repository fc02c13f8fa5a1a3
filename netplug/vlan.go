package netplug

import (
	"fmt"
	"strings"
)

// PortVLANs puts the pod's port into its VLANs, and out of the one that the
// bridge gives to each new port.
type PortVLANs struct {
	Host, Bridge string
	VLANs        VLANs
}

func (s PortVLANs) String() string {
	var lines []string
	if !s.VLANs.PreserveDefault {
		lines = append(lines, fmt.Sprintf("bridge vlan del dev %s vid $(cat /sys/class/net/%s/bridge/default_pvid)", s.Host, s.Bridge))
	}
	for _, ids := range s.VLANs.trunk() {
		lines = append(lines, fmt.Sprintf("bridge vlan add dev %s vid %s", s.Host, ids))
	}
	lines = append(lines, fmt.Sprintf("bridge vlan add dev %s vid %d pvid untagged", s.Host, s.VLANs.native()))
	return strings.Join(lines, "\n")
}

// String is the configuration's keys with their values.
func (v VLANs) String() string {
	var keys []string
	if v.Access != 0 {
		keys = append(keys, fmt.Sprintf("vlan %d", v.Access))
	}
	if v.Trunk != "" {
		keys = append(keys, "vlanTrunk "+v.Trunk)
	}
	return strings.Join(keys, ", ")
}

// native is the VLAN of untagged frames: a trunk alone leaves them in VLAN 1.
func (v VLANs) native() int {
	if v.Access != 0 {
		return v.Access
	}
	return 1
}

// trunk lists the tagged VLANs as IDs and ranges.
func (v VLANs) trunk() []string {
	if v.Trunk == "" {
		return nil
	}
	return strings.Split(v.Trunk, ",")
}

// VLANLeg is the node's own interface in a VLAN of the bridge, where the pods'
// gateway address is: BRIDGE.VLAN. One that exists already is not made anew; the
// reference plugin makes a veth pair of that name. Like the bridge it takes no
// router advertisements, which could only be the pods'.
type VLANLeg struct {
	Bridge, Name string
	VLAN         int
}

func (s VLANLeg) String() string {
	return fmt.Sprintf("bridge vlan add dev %s vid %d self\nip link add link %s name %s type vlan id %d\nsysctl -qw %s=0\nip link set %s up",
		s.Bridge, s.VLAN, s.Bridge, s.Name, s.VLAN, acceptRA(s.Name), s.Name)
}
