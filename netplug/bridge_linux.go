package netplug

import (
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/mascri/mascri/spec"
)

// netAddrSet is NET_ADDR_SET of linux/netdevice.h: the MAC was set by somebody
// and stays. Only sysfs tells; netlink does not.
const netAddrSet = "3"

// Apply makes the bridge, or brings an existing one to what the step says.
func (s Bridge) Apply(k *kernel) error {
	br, err := k.bridge(s.Name)
	if isNotFound(err) {
		br, err = s.create(k)
	}
	if err != nil {
		return err
	}
	return s.reconcile(k, br)
}

// create adds the bridge. Two ADDs may do so at once; the loser finds the
// winner's.
func (s Bridge) create(k *kernel) (*netlink.Bridge, error) {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = s.Name
	wanted := &netlink.Bridge{LinkAttrs: attrs}
	if s.VLANFiltering {
		wanted.VlanFiltering = &s.VLANFiltering
	}
	if err := k.host.LinkAdd(wanted); err != nil && !errors.Is(err, unix.EEXIST) {
		return nil, fmt.Errorf("create bridge %s: %w", s.Name, withoutVLANs(err, s))
	}
	br, err := k.bridge(s.Name)
	if err != nil {
		return nil, err
	}
	if err := k.host.LinkSetHardwareAddr(br, br.HardwareAddr); err != nil {
		return nil, fmt.Errorf("pin the MAC %s of bridge %s: %w", br.HardwareAddr, s.Name, err)
	}
	return br, nil
}

// withoutVLANs explains what a kernel says that cannot filter VLANs.
func withoutVLANs(err error, s Bridge) error {
	if s.VLANFiltering && errors.Is(err, unix.EOPNOTSUPP) {
		return spec.Errorf(spec.UnsupportedField, "%v: %w: remove what asks for it, or use a kernel that has it", errNoVLANs, err)
	}
	return err
}

func (s Bridge) reconcile(k *kernel, br *netlink.Bridge) error {
	if s.VLANFiltering && !filtersVLANs(br) {
		if err := k.filterVLANs(s.Name); err != nil {
			return fmt.Errorf("enable VLAN filtering on bridge %s: %w", s.Name, withoutVLANs(err, s))
		}
	}
	if s.MTU != 0 && br.MTU != s.MTU {
		if err := k.host.LinkSetMTU(br, s.MTU); err != nil {
			return fmt.Errorf("set MTU %d on bridge %s: %w", s.MTU, s.Name, err)
		}
	}
	if s.Promisc && br.RawFlags&unix.IFF_PROMISC == 0 {
		if err := k.host.SetPromiscOn(br); err != nil {
			return fmt.Errorf("set bridge %s promiscuous: %w", s.Name, err)
		}
	}
	if err := pinMAC(k, br); err != nil {
		return err
	}
	if err := setSysctl(acceptRA(s.Name), "0"); err != nil && !errors.Is(err, errNoIPv6) {
		return fmt.Errorf("bridge %s: %w", s.Name, err)
	}
	if br.Flags&net.FlagUp == 0 {
		if err := k.host.LinkSetUp(br); err != nil {
			return fmt.Errorf("set bridge %s up: %w", s.Name, err)
		}
	}
	return nil
}

// pinMAC pins the MAC of a bridge that somebody else made. A bridge whose last
// port has left may have the MAC 00:00:00:00:00:00, which cannot be set. Where
// sysfs cannot tell, setting the MAC that it has does no harm.
func pinMAC(k *kernel, br *netlink.Bridge) error {
	if kind, known := sysfs(br, "addr_assign_type"); known && kind == netAddrSet {
		return nil
	}
	mac := br.HardwareAddr
	if isZero(mac) {
		mac = randomMAC()
	}
	if err := k.host.LinkSetHardwareAddr(br, mac); err != nil {
		return fmt.Errorf("pin the MAC %s of bridge %s: %w", mac, br.Name, err)
	}
	return nil
}

// Check compares the bridge with the step.
func (s Bridge) Check(k *kernel) error {
	br, err := k.bridge(s.Name)
	if err != nil {
		return err
	}
	switch {
	case br.Flags&net.FlagUp == 0:
		return fmt.Errorf("bridge %s is down", s.Name)
	case s.MTU != 0 && br.MTU != s.MTU:
		return fmt.Errorf("bridge %s has MTU %d, expected %d", s.Name, br.MTU, s.MTU)
	case s.Promisc && br.RawFlags&unix.IFF_PROMISC == 0:
		return fmt.Errorf("bridge %s is not promiscuous", s.Name)
	case s.VLANFiltering && !filtersVLANs(br):
		return fmt.Errorf("bridge %s does not filter VLANs", s.Name)
	}
	return nil
}

func filtersVLANs(br *netlink.Bridge) bool { return br.VlanFiltering != nil && *br.VlanFiltering }

func isZero(mac net.HardwareAddr) bool {
	return !slices.ContainsFunc(mac, func(b byte) bool { return b != 0 })
}

// bridge looks up a link that must be a bridge.
func (k *kernel) bridge(name string) (*netlink.Bridge, error) {
	link, err := k.hostLink(name)
	if err != nil {
		return nil, fmt.Errorf("bridge: %w", err)
	}
	br, ok := link.(*netlink.Bridge)
	if !ok {
		return nil, fmt.Errorf("%q already exists but is not a bridge: it is a %s; remove it, or name another bridge", name, link.Type())
	}
	return br, nil
}
