package filter

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
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
func (m Masquerade) String() string {
	f, source, comment := FamilyOf(m.Source.Addr()), m.Source.Masked(), networkComment(m.Network)
	return strings.Join([]string{
		element(f, setSources, source.String(), comment),
		element(f, setInside, pair(source, source), comment),
	}, "\n")
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
func (h Hairpin) String() string {
	f, pods, comment := FamilyOf(h.Pods.Addr()), h.Pods.Masked(), networkComment(h.Network)
	lines := []string{element(f, setHairpin, pair(pods, pods), comment)}
	if h.localhost() {
		lines = append(lines,
			element(f, setHairpin, pair(loopback4, pods), comment),
			element(f, setGuarded, h.Interface, comment))
	}
	return strings.Join(lines, "\n")
}

// Validate refuses a network that nftables could not hold as an interval.
func (h Hairpin) Validate() error { return validPrefix(h.Pods) }

// localhost tells whether 127.0.0.1 is to lead to the host ports.
func (h Hairpin) localhost() bool {
	return h.Interface != "" && FamilyOf(h.Pods.Addr()) == IPv4
}

// MasqueradeAll hides every client of a network's host ports behind the host,
// for pods whose way back would not pass through it.
type MasqueradeAll struct {
	Network string       // name of the CNI network
	Pods    netip.Prefix // the pods' network, such as 10.22.0.0/16
}

// String is the nft command that Apply equals.
func (m MasqueradeAll) String() string {
	pods := m.Pods.Masked()
	return element(FamilyOf(pods.Addr()), setMasqueradeAll, pods.String(), networkComment(m.Network))
}

// Validate refuses a network that nftables could not hold as an interval.
func (m MasqueradeAll) Validate() error { return validPrefix(m.Pods) }

// loopback4 is every address the host calls itself (RFC 1122 3.2.1.3).
var loopback4 = netip.MustParsePrefix("127.0.0.0/8")

// networkComment marks an element that belongs to a whole network.
func networkComment(network string) string {
	return clip(networkKey(network) + " " + plain(network))
}

// pair writes two prefixes as a concatenation. nft reads a prefix of one
// address better without its length.
func pair(a, b netip.Prefix) string { return short(a) + " . " + short(b) }

// short is the prefix as nft prints it.
func short(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
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
