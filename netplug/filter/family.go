package filter

import (
	"fmt"
	"net/netip"
	"strings"
)

// Family is an nftables address family, written as nft writes it.
type Family string

// The families that have a table of ours.
const (
	IPv4   Family = "ip"
	IPv6   Family = "ip6"
	Bridge Family = "bridge" // frames between the ports of a bridge
)

// Table is the name of our table in each family.
const Table = "mascri"

// FamilyOf is the family an address belongs to. An IPv4 address mapped into
// IPv6 counts as IPv4.
func FamilyOf(addr netip.Addr) Family {
	if addr.Unmap().Is4() {
		return IPv4
	}
	return IPv6
}

// iptables is the command that manages the family's filter table.
func (f Family) iptables() string {
	if f == IPv6 {
		return "ip6tables"
	}
	return "iptables"
}

// Protocol is an IP protocol number that has ports.
type Protocol uint8

// The protocols a host port can have (IANA protocol numbers).
const (
	TCP  Protocol = 6
	UDP  Protocol = 17
	SCTP Protocol = 132
)

// ParseProtocol reads tcp, udp or sctp in any case.
func ParseProtocol(name string) (Protocol, error) {
	for _, p := range []Protocol{TCP, UDP, SCTP} {
		if strings.EqualFold(name, p.String()) {
			return p, nil
		}
	}
	return 0, fmt.Errorf("protocol %q: use tcp, udp or sctp", name)
}

// String is the protocol as nft writes it.
func (p Protocol) String() string {
	switch p {
	case TCP:
		return "tcp"
	case UDP:
		return "udp"
	case SCTP:
		return "sctp"
	}
	return fmt.Sprintf("protocol %d", uint8(p))
}
