package filter

import (
	"errors"
	"fmt"
	"net/netip"
)

// Masquerade hides a network's pods behind the host when they talk to anything
// outside the network. It is a node step: one element for the network, however
// many pods it has. Multicast and traffic within the network are left alone.
//
// Networks whose prefixes are equal share the elements; prefixes that overlap
// without being equal are refused, because a packet has to belong to one.
type Masquerade struct {
	Network string       // name of the CNI network
	Source  netip.Prefix // the pods' network, such as 10.22.0.0/16
}

// String is the nft commands that Apply equals.
func (m Masquerade) String() string { return script(m.elements()) }

func (m Masquerade) elements() []element {
	source, comment := m.Source.Masked(), networkComment(m.Network)
	f := FamilyOf(source.Addr())
	return []element{
		{family: f, set: setSources, key: source.String(), comment: comment},
		{family: f, set: setInside, key: concat(source, source), comment: comment},
	}
}

// Validate refuses a source that nftables could not hold as an interval.
func (m Masquerade) Validate() error { return validPrefix(m.Source) }

// Hairpin lets the clients that would otherwise be answered behind the host's
// back use a network's host ports: the pods of the network itself, and the host
// through 127.0.0.1. Their connections to a host port are masqueraded, so that
// the answer returns through the host and its address is translated back.
//
// The interface needs the sysctl net.ipv4.conf.IF.route_localnet=1 for
// 127.0.0.1, which opens the host's loopback addresses to the pods; the guard
// that closes them again is part of this step. IPv6 has no route_localnet: a
// host port cannot be reached through ::1.
type Hairpin struct {
	Network   string       // name of the CNI network
	Pods      netip.Prefix // the pods' network, such as 10.22.0.0/16
	Interface string       // host interface that leads to the pods; "" = not through 127.0.0.1
}

// String is the nft commands that Apply equals.
func (h Hairpin) String() string { return script(h.elements()) }

func (h Hairpin) elements() []element {
	pods, comment := h.Pods.Masked(), networkComment(h.Network)
	f := FamilyOf(pods.Addr())
	all := []element{{family: f, set: setHairpin, key: concat(pods, pods), comment: comment}}
	if h.Interface != "" && f == IPv4 {
		all = append(all,
			element{family: f, set: setHairpin, key: concat(loopback4, pods), comment: comment},
			element{family: f, set: setGuarded, key: h.Interface, comment: comment})
	}
	return all
}

// Validate refuses a network that nftables could not hold as an interval.
func (h Hairpin) Validate() error { return validPrefix(h.Pods) }

// MasqueradeAll hides every client of a network's host ports behind the host,
// for pods whose way back would not pass through it.
type MasqueradeAll struct {
	Network string       // name of the CNI network
	Pods    netip.Prefix // the pods' network, such as 10.22.0.0/16
}

// String is the nft command that Apply equals.
func (m MasqueradeAll) String() string { return script(m.elements()) }

func (m MasqueradeAll) elements() []element {
	pods := m.Pods.Masked()
	return []element{{
		family: FamilyOf(pods.Addr()), set: setMasqueradeAll, key: pods.String(), comment: networkComment(m.Network),
	}}
}

// Validate refuses a network that nftables could not hold as an interval.
func (m MasqueradeAll) Validate() error { return validPrefix(m.Pods) }

// loopback4 is every address the host calls itself (RFC 1122 3.2.1.3).
var loopback4 = netip.MustParsePrefix("127.0.0.0/8")

// networkComment marks an element that belongs to a whole network.
func networkComment(network string) string {
	return clip(networkKey(network) + " " + plain(network))
}

// errWholeSpace is why a default route is not a pod network.
var errWholeSpace = errors.New("covers every address: give the network the pods are in")

// validPrefix accepts what an interval set can hold.
func validPrefix(p netip.Prefix) error {
	switch {
	case !p.IsValid():
		return errors.New("pod network missing")
	case p.Bits() == 0:
		return fmt.Errorf("pod network %s %w", p, errWholeSpace)
	}
	return nil
}
