package netplug

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/mascri/mascri/netplug/dump"
)

// filterVLANs makes a bridge heed VLANs. The request has the bridge's name alone:
// with its index as well it is one to rename it, which kernels before 6.2 refuse
// while it is up (do_setlink in net/core/rtnetlink.c).
func (k *kernel) filterVLANs(bridge string) error {
	on := true
	attrs := netlink.NewLinkAttrs()
	attrs.Name = bridge
	return k.host.LinkModify(&netlink.Bridge{LinkAttrs: attrs, VlanFiltering: &on})
}

// knowsVLANs tells whether the kernel's bridges can filter VLANs, without making
// one: then it has their dumps as well (net/bridge/br_vlan.c, from 5.6 on). False
// is no answer: the kernel may be older, or not have loaded its bridges yet.
func (k *kernel) knowsVLANs() bool {
	_, err := dump.Whole(func() ([][]byte, error) {
		req := nl.NewNetlinkRequest(unix.RTM_GETVLAN, unix.NLM_F_DUMP)
		req.AddRawData([]byte{0: unix.AF_BRIDGE, 7: 0}) // struct br_vlan_msg of linux/if_bridge.h
		return k.request(req, unix.RTM_NEWVLAN)
	})
	return err == nil
}

// linksDir is where sysfs shows links.
const linksDir = "/sys/class/net"

// lacksVLANs tells whether the kernel's bridges cannot filter VLANs, for certain:
// the directory that each has in sysfs would say whether it does
// (net/bridge/br_sysfs_br.c). Without a bridge nobody can tell.
func lacksVLANs(links string) bool {
	bridges, err := filepath.Glob(filepath.Join(links, "*", "bridge"))
	if err != nil || len(bridges) == 0 {
		return false
	}
	_, err = os.Stat(filepath.Join(bridges[0], "vlan_filtering"))
	return errors.Is(err, os.ErrNotExist)
}

// errNoVLANs says what a kernel has not.
var errNoVLANs = errors.New("the kernel has no VLAN filtering on bridges (CONFIG_BRIDGE_VLAN_FILTERING)")

// Apply changes the port's VLANs; the port is new and has the default one.
func (s PortVLANs) Apply(k *kernel) error {
	link, err := k.hostLink(s.Host)
	if err != nil {
		return err
	}
	if !s.VLANs.PreserveDefault {
		if err := s.leaveDefault(k, link); err != nil {
			return err
		}
	}
	for _, ids := range s.VLANs.trunk() {
		if err := joinTrunk(k, link, ids); err != nil {
			return fmt.Errorf("add VLANs %s to trunk port %s: %w", ids, s.Host, err)
		}
	}
	// The last: to add a VLAN again, as one of the trunk's, would make it tagged
	// (__vlan_add_flags in net/bridge/br_vlan.c), and a trunk may be of all.
	if err := k.host.BridgeVlanAdd(link, uint16(s.VLANs.native()), true, true, false, true); err != nil {
		return fmt.Errorf("put port %s into VLAN %d: %w", s.Host, s.VLANs.native(), err)
	}
	return nil
}

// joinTrunk adds a range of tagged VLANs. The kernel refuses one that ends where
// it begins (br_vlan_valid_range in net/bridge/br_private.h).
func joinTrunk(k *kernel, port netlink.Link, ids string) error {
	first, last, err := vlanBounds(ids)
	if err != nil {
		return err
	}
	if first == last {
		return k.host.BridgeVlanAdd(port, first, false, false, false, true)
	}
	return k.host.BridgeVlanAddRange(port, first, last, false, false, false, true)
}

func (s PortVLANs) leaveDefault(k *kernel, port netlink.Link) error {
	br, err := k.bridge(s.Bridge)
	if err != nil {
		return err
	}
	id := uint16(1)
	if br.VlanDefaultPVID != nil {
		id = *br.VlanDefaultPVID
	}
	if id == 0 { // the administrator has turned the default VLAN off
		return nil
	}
	if err := k.host.BridgeVlanDel(port, id, false, false, false, true); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("take port %s out of the default VLAN %d: %w", s.Host, id, err)
	}
	return nil
}

// Check compares the port's VLANs, all of them.
func (s PortVLANs) Check(k *kernel) error {
	link, err := k.hostLink(s.Host)
	if err != nil {
		return err
	}
	present, err := k.portVLANs(link.Attrs().Index)
	if err != nil {
		return fmt.Errorf("list the VLANs of port %s: %w", s.Host, err)
	}
	want, err := s.expected()
	if err != nil {
		return err
	}
	for id, flags := range want {
		if got, ok := present[id]; !ok || got != flags {
			return fmt.Errorf("port %s is not in VLAN %d as expected: present %v with flags %#x, expected %#x", s.Host, id, ok, got, flags)
		}
		delete(present, id)
	}
	if len(present) > 0 && !s.VLANs.PreserveDefault {
		return fmt.Errorf("port %s is in VLANs it was not put into: %v", s.Host, present)
	}
	return nil
}

// expected maps each VLAN to its flags (BRIDGE_VLAN_INFO_*).
func (s PortVLANs) expected() (map[uint16]uint16, error) {
	want := map[uint16]uint16{}
	for _, ids := range s.VLANs.trunk() {
		first, last, err := vlanBounds(ids)
		if err != nil {
			return nil, err
		}
		for id := first; id <= last; id++ {
			want[id] = 0
		}
	}
	want[uint16(s.VLANs.native())] = nl.BRIDGE_VLAN_INFO_PVID | nl.BRIDGE_VLAN_INFO_UNTAGGED
	return want, nil
}

// portVLANs lists the VLANs of a port, or of the bridge itself, with their flags.
func (k *kernel) portVLANs(index int) (map[uint16]uint16, error) {
	all, err := dump.Whole(func() ([]*nl.BridgeVlanInfo, error) {
		ports, err := k.host.BridgeVlanList()
		return ports[int32(index)], err
	})
	present := map[uint16]uint16{}
	for _, v := range all {
		present[v.Vid] = v.Flags
	}
	return present, err
}

func vlanBounds(ids string) (first, last uint16, err error) {
	low, high, ranged := strings.Cut(ids, "-")
	if !ranged {
		high = low
	}
	a, err := strconv.ParseUint(low, 10, 12)
	if err != nil {
		return 0, 0, fmt.Errorf("VLANs %q: %w", ids, err)
	}
	b, err := strconv.ParseUint(high, 10, 12)
	if err != nil {
		return 0, 0, fmt.Errorf("VLANs %q: %w", ids, err)
	}
	return uint16(a), uint16(b), nil
}

// Apply makes the leg, unless there is one, and lets the VLAN's frames reach it.
func (s VLANLeg) Apply(k *kernel) error {
	br, err := k.bridge(s.Bridge)
	if err != nil {
		return err
	}
	link, err := k.host.LinkByName(s.Name)
	if isNotFound(err) {
		link, err = s.create(k, br)
	}
	if err != nil {
		return fmt.Errorf("VLAN interface %s: %w", s.Name, err)
	}
	if standsOn(link, br) {
		if err := k.host.BridgeVlanAdd(br, uint16(s.VLAN), false, false, true, false); err != nil {
			return fmt.Errorf("put bridge %s itself into VLAN %d: %w", s.Bridge, s.VLAN, err)
		}
	}
	if err := setSysctl(acceptRA(s.Name), "0"); err != nil && !errors.Is(err, errNoIPv6) {
		return fmt.Errorf("VLAN interface %s: %w", s.Name, err)
	}
	if link.Attrs().Flags&net.FlagUp == 0 {
		if err := k.host.LinkSetUp(link); err != nil {
			return fmt.Errorf("set %s up: %w", s.Name, err)
		}
	}
	return nil
}

func (s VLANLeg) create(k *kernel, br *netlink.Bridge) (netlink.Link, error) {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.ParentIndex = s.Name, br.Index
	err := k.host.LinkAdd(&netlink.Vlan{LinkAttrs: attrs, VlanId: s.VLAN})
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return nil, fmt.Errorf("create on %s: %w", s.Bridge, err)
	}
	return k.host.LinkByName(s.Name)
}

// standsOn tells a leg of the bridge itself from a veth pair that ends in one of
// its ports, as the reference plugin makes it.
func standsOn(link netlink.Link, br *netlink.Bridge) bool {
	return link.Type() == "vlan" && link.Attrs().ParentIndex == br.Index
}

// Check looks whether the leg is there and up, and whether the VLAN reaches it.
func (s VLANLeg) Check(k *kernel) error {
	br, err := k.bridge(s.Bridge)
	if err != nil {
		return err
	}
	link, err := k.hostLink(s.Name)
	if err != nil {
		return err
	}
	if link.Attrs().Flags&net.FlagUp == 0 {
		return fmt.Errorf("%s is down", s.Name)
	}
	if !standsOn(link, br) {
		return nil
	}
	present, err := k.portVLANs(br.Index)
	if err != nil {
		return fmt.Errorf("list the VLANs of bridge %s: %w", s.Bridge, err)
	}
	if _, in := present[uint16(s.VLAN)]; !in {
		return fmt.Errorf("bridge %s itself is not in VLAN %d, so %s hears nothing of it", s.Bridge, s.VLAN, s.Name)
	}
	return nil
}
