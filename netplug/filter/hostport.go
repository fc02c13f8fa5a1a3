package filter

import (
	"errors"
	"fmt"
	"net/netip"
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
	Match    string         // Conditions.Match that packets have to meet; "" = none
}

// String is the nft commands that Apply equals: the map's element, and the
// index of it in the owner's chain by which DEL finds it.
func (h HostPort) String() string { return ownedScript(h.Owner, h.elements()) }

func (h HostPort) elements() []element {
	e := element{
		family: h.Family(), set: conditional(mapHostPorts, h.Match), key: concat(h.Protocol, h.HostPort),
		value: concat(h.Pod.Addr().Unmap(), h.Pod.Port()), comment: h.Owner.Comment(),
	}
	if h.bound() {
		e.set, e.key = conditional(mapHostIPs, h.Match), concat(h.Protocol, h.HostIP.Unmap(), h.HostPort)
	}
	return []element{e}
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
func (h HostPort) bound() bool { return Mapping{HostIP: h.HostIP}.bound() }
