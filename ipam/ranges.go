package ipam

import (
	"fmt"
	"net/netip"
	"strings"
)

// A Range is a run of addresses in a subnet: what one member of "ranges" says,
// with its defaults filled in.
type Range struct {
	Subnet      netip.Prefix // the network, without host bits; an address is handed out with its length
	First, Last netip.Addr   // the run, both ends included
	Gateway     netip.Addr   // never handed out; may lie outside the subnet
}

// A RangeSet is a pool: it gives one address, from any of its ranges. All are
// of one family and none overlap.
type RangeSet []Range

// rawRange is a range as it is written.
type rawRange struct {
	Subnet     string `json:"subnet"`
	RangeStart string `json:"rangeStart"`
	RangeEnd   string `json:"rangeEnd"`
	Gateway    string `json:"gateway"`
}

// parseRange fills in the defaults of host-local: the gateway and the first
// address are the subnet's first host, the last is the one before IPv4's
// broadcast address, or IPv6's very last.
func parseRange(raw rawRange) (Range, error) {
	subnet, err := parseSubnet(raw.Subnet)
	if err != nil {
		return Range{}, err
	}
	r := Range{Subnet: subnet}
	for _, field := range []struct {
		key, text string
		addr      *netip.Addr
	}{{"gateway", raw.Gateway, &r.Gateway}, {"rangeStart", raw.RangeStart, &r.First}, {"rangeEnd", raw.RangeEnd, &r.Last}} {
		if field.text == "" {
			continue
		}
		if *field.addr, err = parseAddr(field.text); err != nil {
			return Range{}, fmt.Errorf("%s: %w", field.key, err)
		}
	}
	return r, r.complete()
}

// complete sets what is not given. The order is host-local's: a start beyond
// the end is reported as a start outside the network.
func (r *Range) complete() error {
	if !r.Gateway.IsValid() {
		r.Gateway = r.Subnet.Addr().Next()
	}
	if !r.First.IsValid() {
		r.First = r.Subnet.Addr().Next()
	} else if !r.contains(r.First) {
		if r.Subnet.Contains(r.First) && r.Last.IsValid() {
			return fmt.Errorf("RangeStart %s not in network %s up to RangeEnd %s", r.First, r.Subnet, r.Last)
		}
		return fmt.Errorf("RangeStart %s not in network %s", r.First, r.Subnet)
	}
	if !r.Last.IsValid() {
		r.Last = lastHost(r.Subnet)
	}
	if !r.contains(r.Last) {
		return fmt.Errorf("RangeEnd %s not in network %s", r.Last, r.Subnet)
	}
	return nil
}

func parseSubnet(text string) (netip.Prefix, error) {
	if text == "" {
		return netip.Prefix{}, fmt.Errorf("key subnet is missing")
	}
	subnet, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("subnet: invalid CIDR address: %s", text)
	}
	switch {
	case subnet.Addr().Is4In6():
		return netip.Prefix{}, fmt.Errorf("subnet %s: IPNet IP and Mask version mismatch: write it as an IPv4 network", text)
	case subnet.Bits() > subnet.Addr().BitLen()-2:
		//lint:ignore ST1005 the reference's text, which users search for
		return netip.Prefix{}, fmt.Errorf("Network %s too small to allocate from", subnet)
	case subnet != subnet.Masked():
		//lint:ignore ST1005 the reference's text, which users search for
		return netip.Prefix{}, fmt.Errorf("Network has host bits set. For a subnet mask of length %d the network address is %s: write %s for %s", subnet.Bits(), subnet.Masked().Addr(), subnet.Masked(), subnet)
	}
	return subnet, nil
}

// parseAddr reads an address; one written as IPv4-mapped IPv6 is the IPv4 one.
func parseAddr(text string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(text)
	if err != nil || addr.Zone() != "" {
		return netip.Addr{}, fmt.Errorf("invalid IP address: %s", text)
	}
	return addr.Unmap(), nil
}

// lastHost is the default end of a range.
func lastHost(subnet netip.Prefix) netip.Addr {
	bytes := subnet.Addr().AsSlice()
	for bit := subnet.Bits(); bit < subnet.Addr().BitLen(); bit++ {
		bytes[bit/8] |= 0x80 >> (bit % 8)
	}
	last, _ := netip.AddrFromSlice(bytes) // the length is that of an address
	if last.Is4() {
		return last.Prev()
	}
	return last
}

// contains also serves while the range is still being filled in: an end that
// is not set yet bounds nothing.
func (r Range) contains(addr netip.Addr) bool {
	return r.Subnet.Contains(addr) &&
		(!r.First.IsValid() || r.First.Compare(addr) <= 0) &&
		(!r.Last.IsValid() || addr.Compare(r.Last) <= 0)
}

func (r Range) overlaps(other Range) bool {
	return r.First.BitLen() == other.First.BitLen() &&
		r.First.Compare(other.Last) <= 0 && other.First.Compare(r.Last) <= 0
}

func (r Range) String() string { return r.First.String() + "-" + r.Last.String() }

func parseRangeSet(raw []rawRange) (RangeSet, error) {
	if len(raw) == 0 {
		return nil, fmt.Errorf("empty range set")
	}
	var set RangeSet
	for _, one := range raw {
		r, err := parseRange(one)
		if err != nil {
			return nil, err
		}
		for _, before := range set {
			if before.overlaps(r) {
				return nil, fmt.Errorf("subnets %s and %s overlap", before, r)
			}
		}
		if len(set) > 0 && set[0].First.Is4() != r.First.Is4() {
			return nil, fmt.Errorf("mixed address families")
		}
		set = append(set, r)
	}
	return set, nil
}

// find returns the range that holds the address.
func (s RangeSet) find(addr netip.Addr) (Range, bool) {
	for _, r := range s {
		if r.contains(addr) {
			return r, true
		}
	}
	return Range{}, false
}

func (s RangeSet) contains(addr netip.Addr) bool {
	_, ok := s.find(addr)
	return ok
}

func (s RangeSet) overlaps(other RangeSet) bool {
	for _, r := range s {
		for _, o := range other {
			if r.overlaps(o) {
				return true
			}
		}
	}
	return false
}

func (s RangeSet) String() string {
	texts := make([]string, len(s))
	for i, r := range s {
		texts[i] = r.String()
	}
	return strings.Join(texts, ",")
}
