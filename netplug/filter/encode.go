package filter

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// A layout says what the elements of a set or map are made of.
type layout struct {
	key, value []string // nft's names of the fields' types; value is nil for a set
	interval   bool     // keys are prefixes
}

// layouts are the sets and maps of a family, as ruleset.go declares them.
func layouts(f Family) map[string]layout {
	if f == Bridge {
		return map[string]layout{
			setChecked: {key: []string{"ifname"}},
			setAllowed: {key: []string{"ifname", "ether_addr"}},
		}
	}
	addr := "ipv4_addr"
	if f == IPv6 {
		addr = "ipv6_addr"
	}
	all := map[string]layout{
		setSources:       {key: []string{addr}, interval: true},
		setInside:        {key: []string{addr, addr}, interval: true},
		setHairpin:       {key: []string{addr, addr}, interval: true},
		setMasqueradeAll: {key: []string{addr}, interval: true},
		mapHostIPs:       {key: []string{"inet_proto", addr, "inet_service"}, value: []string{addr, "inet_service"}},
		mapHostPorts:     {key: []string{"inet_proto", "inet_service"}, value: []string{addr, "inet_service"}},
	}
	if f == IPv4 {
		all[setGuarded] = layout{key: []string{"ifname"}}
	}
	return all
}

// layoutOf is the layout of one set or map. Maps for host ports under conditions
// have the name of the common ones, a hyphen and what tells them apart.
func layoutOf(f Family, set string) (layout, bool) {
	base, _, _ := strings.Cut(set, "-")
	l, ok := layouts(f)[base]
	return l, ok
}

// encode turns the fields of a key or value into the bytes the kernel compares.
// Each field fills whole 32-bit registers. For prefixes, last is the end of the
// range, itself included.
func encode(types []string, text string) (first, last []byte, err error) {
	fields := strings.Split(text, " . ")
	if len(fields) != len(types) {
		return nil, nil, fmt.Errorf("%q has %d fields, not %d", text, len(fields), len(types))
	}
	for i, field := range fields {
		from, to, err := encodeField(types[i], field)
		if err != nil {
			return nil, nil, fmt.Errorf("%s %q: %w", types[i], field, err)
		}
		first, last = append(first, pad(from)...), append(last, pad(to)...)
	}
	return first, last, nil
}

// pad fills the last register.
func pad(field []byte) []byte {
	return append(field, make([]byte, -len(field)&3)...)
}

// encodeField encodes one field in network byte order.
func encodeField(typ, text string) (from, to []byte, err error) {
	switch typ {
	case "ipv4_addr", "ipv6_addr":
		return encodeAddress(typ, text)
	case "inet_proto":
		p, err := ParseProtocol(text)
		return []byte{byte(p)}, []byte{byte(p)}, err
	case "inet_service":
		port, err := strconv.ParseUint(text, 10, 16)
		b := binary.BigEndian.AppendUint16(nil, uint16(port))
		return b, slices.Clone(b), err
	case "ether_addr":
		mac, err := net.ParseMAC(text)
		if err == nil && len(mac) != 6 {
			err = fmt.Errorf("%d bytes, not 6", len(mac))
		}
		return mac, slices.Clone(mac), err
	case "ifname":
		if len(text) == 0 || len(text) > maxInterface {
			return nil, nil, fmt.Errorf("an interface name has 1 to %d bytes", maxInterface)
		}
		name := make([]byte, maxInterface+1)
		copy(name, text)
		return name, slices.Clone(name), nil
	}
	return nil, nil, fmt.Errorf("no such type")
}

// maxInterface is IFNAMSIZ without its terminating zero (linux/if.h).
const maxInterface = 15

// encodeAddress encodes an address, or the first and last address of a prefix.
func encodeAddress(typ, text string) (from, to []byte, err error) {
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		addr, err := netip.ParseAddr(text)
		if err != nil {
			return nil, nil, err
		}
		prefix = netip.PrefixFrom(addr, addr.BitLen())
	}
	if prefix.Addr().Is4() != (typ == "ipv4_addr") {
		return nil, nil, fmt.Errorf("not of type %s", typ)
	}
	from = prefix.Masked().Addr().AsSlice()
	return from, lastAddress(prefix), nil
}

// lastAddress is the highest address in the prefix.
func lastAddress(p netip.Prefix) []byte {
	last := p.Masked().Addr().AsSlice()
	for bit := p.Bits(); bit < 8*len(last); bit++ {
		last[bit/8] |= 0x80 >> (bit % 8)
	}
	return last
}
