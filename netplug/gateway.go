package netplug

import (
	"fmt"
	"net/netip"
)

// Gateway is the address by which pods reach the node: the bridge's own.
type Gateway struct {
	Link    string       // the bridge, or its leg in a VLAN
	Address netip.Prefix // with the length of the pods' subnet
	Force   bool         // replace another address instead of refusing it
}

func (s Gateway) String() string {
	return fmt.Sprintf("ip addr add %s%s dev %s%s", s.Address, broadcast(s.Address), s.Link, nodad(s.Address, false))
}

// nodad is the flag for an IPv6 address that is not probed before use. We hand
// out the addresses, so duplicate address detection (RFC 4862, 5.4) can find
// nothing, and costs the first pod a second in which its gateway is silent.
func nodad(a netip.Prefix, probe bool) string {
	if a.Addr().Is6() && !probe {
		return " nodad"
	}
	return ""
}
