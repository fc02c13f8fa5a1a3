package netplug

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Apply adds the address. Another IPv4 address, or an IPv6 address whose subnet
// overlaps, belongs to another configuration of the same bridge: it is replaced
// with Force and an error without. IPv6 addresses in other subnets live side by
// side, as they are meant to.
func (s Gateway) Apply(k *kernel) error {
	link, present, err := s.present(k)
	if err != nil {
		return err
	}
	for _, other := range present {
		if other == s.Address {
			return nil
		}
		if !s.conflicts(other) {
			continue
		}
		if !s.Force {
			return fmt.Errorf("failed to set bridge addr: %q already has an IP address different from %s: it has %s; remove it, use another bridge, or set forceAddress", s.Link, s.Address, other)
		}
		if err := k.host.AddrDel(link, &netlink.Addr{IPNet: ipNet(other)}); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
			return fmt.Errorf("remove %s from %s: %w", other, s.Link, err)
		}
	}
	err = k.host.AddrAdd(link, address(s.Address, false))
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("add %s to %s: %w", s.Address, s.Link, err)
	}
	return nil
}

func (s Gateway) conflicts(other netip.Prefix) bool {
	if s.Address.Addr().Is4() {
		return true
	}
	return other.Overlaps(s.Address.Masked())
}

// Check looks for the very address.
func (s Gateway) Check(k *kernel) error {
	_, present, err := s.present(k)
	if err == nil && !slices.Contains(present, s.Address) {
		err = fmt.Errorf("%s lacks the gateway address %s", s.Link, s.Address)
	}
	return err
}

// present lists the link's addresses of the gateway's family.
func (s Gateway) present(k *kernel) (netlink.Link, []netip.Prefix, error) {
	link, err := k.hostLink(s.Link)
	if err != nil {
		return nil, nil, err
	}
	all, err := k.addresses(link.Attrs().Index, s.Address.Addr())
	if err != nil {
		return nil, nil, fmt.Errorf("list addresses of %s: %w", s.Link, err)
	}
	return link, all, nil
}

// address is a prefix as netlink wants it.
func address(p netip.Prefix, probe bool) *netlink.Addr {
	a := &netlink.Addr{IPNet: ipNet(p)}
	if nodad(p, probe) != "" {
		a.Flags = unix.IFA_F_NODAD
	}
	return a
}
