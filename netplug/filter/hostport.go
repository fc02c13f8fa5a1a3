package filter

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// HostPort leads a port of the host to a port of a pod: one element in a map
// that every new connection to the host looks up once, so that its cost does
// not grow with the number of ports. The newest owner of a host port has it.
type HostPort struct {
	Owner    Owner
	Protocol Protocol
	HostIP   netip.Addr // zero or unspecified: every address of the host
	HostPort uint16
	Pod      netip.AddrPort // where the connection goes
}

// String is the nft commands that Apply equals: the map's element, and the
// index of it in the owner's chain by which DEL finds it.
func (h HostPort) String() string {
	f, chain := h.Family(), h.Owner.chain()
	value := fmt.Sprintf("%s . %d", h.Pod.Addr().Unmap(), h.Pod.Port())
	return strings.Join([]string{
		mapping(f, h.set(), h.key(), value, h.Owner.Comment()),
		addChain(f, chain),
		indexRule(f, chain, h.set(), h.key()),
	}, "\n")
}

// Family is the family of the pod's address.
func (h HostPort) Family() Family { return FamilyOf(h.Pod.Addr()) }

// Validate names what is wrong with a mapping before the kernel sees it.
func (h HostPort) Validate() error {
	switch {
	case h.HostPort == 0 || h.Pod.Port() == 0:
		return errors.New("port 0")
	case !h.Pod.Addr().IsValid():
		return errors.New("pod address missing")
	case h.bound() && FamilyOf(h.HostIP) != h.Family():
		return fmt.Errorf("host address %s and pod address %s are of different families", h.HostIP, h.Pod.Addr())
	}
	_, err := ParseProtocol(h.Protocol.String())
	return err
}

// bound tells whether the mapping is for one address of the host.
func (h HostPort) bound() bool { return h.HostIP.IsValid() && !h.HostIP.IsUnspecified() }

// set is the map that the mapping is an element of.
func (h HostPort) set() string {
	if h.bound() {
		return mapHostIPs
	}
	return mapHostPorts
}

// key is the map's key as nft writes it.
func (h HostPort) key() string {
	if h.bound() {
		return fmt.Sprintf("%s . %s . %d", h.Protocol, h.HostIP.Unmap(), h.HostPort)
	}
	return fmt.Sprintf("%s . %d", h.Protocol, h.HostPort)
}

// addChain is the nft command that makes an owner's chain.
func addChain(f Family, chain string) string {
	return fmt.Sprintf("nft add chain %s %s %s", f, Table, chain)
}

// indexRule is the nft command that records an element in its owner's chain.
// No packet enters that chain: it is how DEL finds the owner's elements without
// reading everybody's.
func indexRule(f Family, chain, set, key string) string {
	return fmt.Sprintf("nft add rule %s %s %s return comment '\"%s %s\"'", f, Table, chain, set, key)
}
