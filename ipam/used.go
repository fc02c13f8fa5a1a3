package ipam

import "net/netip"

// chunkBits: a chunk covers 4096 neighbours, a /20 of IPv4, in 512 bytes. Large
// enough that a long run of used addresses is crossed in a few reads, small
// enough for addresses that somebody scatters over an IPv6 /64.
const (
	chunkBits = 12
	chunkSize = 1 << chunkBits
)

// A chunk has one bit an address: set means used.
type chunk [chunkSize / 8]byte

// usedSet is a set of addresses that costs the same however long a run of
// used ones is, by chunks that are loaded when they are looked at.
type usedSet struct {
	chunks map[netip.Addr]*chunk // by first address
	load   func(base netip.Addr) (*chunk, error)
}

func newUsedSet(load func(netip.Addr) (*chunk, error)) *usedSet {
	return &usedSet{chunks: map[netip.Addr]*chunk{}, load: load}
}

// nothingUsed is the set to start from when there is nothing to load.
func nothingUsed(netip.Addr) (*chunk, error) { return new(chunk), nil }

// split finds an address's chunk and its place there.
func split(addr netip.Addr) (base netip.Addr, offset int) {
	prefix, _ := addr.Prefix(addr.BitLen() - chunkBits) // within the address's length
	bytes := addr.As16()
	return prefix.Addr(), (int(bytes[14])<<8 | int(bytes[15])) & (chunkSize - 1)
}

// join is the reverse of split.
func join(base netip.Addr, offset int) netip.Addr {
	bytes := base.As16()
	bytes[14] |= byte(offset >> 8)
	bytes[15] = byte(offset)
	if addr := netip.AddrFrom16(bytes); !base.Is4() {
		return addr
	}
	return netip.AddrFrom4([4]byte(bytes[12:]))
}

func (u *usedSet) at(base netip.Addr) (*chunk, error) {
	if c, ok := u.chunks[base]; ok {
		return c, nil
	}
	c, err := u.load(base)
	if err != nil {
		return nil, err
	}
	u.chunks[base] = c
	return c, nil
}

func (u *usedSet) add(addr netip.Addr) error    { return u.change(addr, 0xff) }
func (u *usedSet) remove(addr netip.Addr) error { return u.change(addr, 0) }

// change sets the address's bit to the mask's.
func (u *usedSet) change(addr netip.Addr, mask byte) error {
	base, offset := split(addr)
	c, err := u.at(base)
	if err != nil {
		return err
	}
	bit := byte(1) << (offset % 8)
	c[offset/8] = c[offset/8]&^bit | mask&bit
	return nil
}

func (u *usedSet) firstFree(first, last netip.Addr) (netip.Addr, bool, error) {
	lastBase, lastOffset := split(last)
	for base, from := split(first); ; base, from = join(base, chunkSize-1).Next(), 0 {
		c, err := u.at(base)
		if err != nil {
			return netip.Addr{}, false, err
		}
		to := chunkSize - 1
		if base == lastBase {
			to = lastOffset
		}
		if offset, ok := c.firstClear(from, to); ok {
			return join(base, offset), true, nil
		}
		if base == lastBase {
			return netip.Addr{}, false, nil
		}
	}
}

// firstClear finds the first bit from..to that is not set.
func (c *chunk) firstClear(from, to int) (int, bool) {
	for i := from; i <= to; i++ {
		if c[i/8] == 0xff {
			i |= 7 // the whole byte is used: on to the next
			continue
		}
		if c[i/8]&(1<<(i%8)) == 0 {
			return i, true
		}
	}
	return 0, false
}
