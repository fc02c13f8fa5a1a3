package filter

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"golang.org/x/sys/unix"
)

// Apply queues the conditions' maps and the rules that look up in them.
func (c Conditions) Apply(conn *Conn) error {
	if err := c.validate(); err != nil {
		return err
	}
	conn.queue = append(conn.queue, change{run: c.write})
	return nil
}

func (c Conditions) validate() error {
	if c.Match == "" || c.Family != IPv4 && c.Family != IPv6 {
		return fmt.Errorf("conditions %q of family %q: make them with ParseConditions", c.Match, c.Family)
	}
	_, err := parseNFT(c.Family, []string{c.Match})
	return err
}

func (c Conditions) write(b *batch) error {
	missing, err := c.missing(b.Conn)
	if err != nil || len(missing) == 0 {
		return err
	}
	for _, set := range missing {
		lib := libSet(c.Family, set)
		if err := b.nft.AddSet(lib, nil); err != nil {
			return fmt.Errorf("add %s: %w", set, err)
		}
		b.nft.AddRule(&nftables.Rule{
			Table: lib.Table, Chain: &nftables.Chain{Name: chainConditional}, Exprs: c.rule(set),
			UserData: userdata.AppendString(nil, userdata.TypeComment, set),
		})
	}
	return nil
}

// Check says which of the conditions' rules is missing.
func (c Conditions) Check(conn *Conn) error {
	if err := c.validate(); err != nil {
		return err
	}
	missing, err := c.missing(conn)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		return fmt.Errorf("chain %s %s %s has no rule %q for %s", c.Family, Table, chainConditional, c.Match, missing[0])
	}
	return nil
}

// missing are the maps that no rule looks up in under these conditions.
func (c Conditions) missing(conn *Conn) (sets []string, err error) {
	rules, err := conn.rules(c.Family, Table, chainConditional)
	if err != nil {
		return nil, err
	}
	ips, ports := c.maps()
	for _, set := range []string{ips, ports} {
		if !reaches(rules, c.rule(set)) {
			sets = append(sets, set)
		}
	}
	return sets, nil
}

// rule matches the conditions and looks up.
func (c Conditions) rule(set string) []expr.Any {
	a := addressing(c.Family)
	lookup := join(concatKey(protocol, destinationPort), a.dnat(set))
	if strings.HasPrefix(set, mapHostIPs) {
		lookup = join(concatKey(protocol, a.destination, destinationPort), a.dnat(set))
	}
	all, err := parseNFT(c.Family, []string{c.Match})
	if err != nil {
		return nil // validate has found no error in the same text
	}
	var matches []expr.Any
	for _, one := range all {
		matches = append(matches, one.exprs(a)...)
	}
	return join(matches, lookup)
}

// exprs are the match as the kernel's expressions.
func (c condition) exprs(a addresses) []expr.Any {
	switch c.key {
	case "iifname":
		load, size := inputInterface(unix.NFT_REG_1)
		name := make([]byte, size)
		copy(name, c.value)
		return []expr.Any{load, c.compare(name)}
	case "meta l4proto":
		p, _ := ParseProtocol(c.value) // parseNFT has read it
		load, _ := protocol(unix.NFT_REG_1)
		return []expr.Any{load, c.compare([]byte{byte(p)})}
	}
	offset := a.dst
	if strings.HasSuffix(c.key, "saddr") {
		offset = a.src
	}
	prefix, err := parsePrefix(FamilyOf(a.multicast.Addr()), c.value)
	if err != nil {
		return nil // parseNFT has read it
	}
	loads, first := a.prefix(offset, prefix)
	return append(loads, c.compare(first))
}

func (c condition) compare(data []byte) expr.Any {
	op := expr.CmpOpEq
	if c.negated {
		op = expr.CmpOpNeq
	}
	return &expr.Cmp{Op: op, Register: unix.NFT_REG_1, Data: data}
}

// prefix loads the part of an address that the prefix is about, and says what
// it has to be. Whole bytes are loaded alone, as nft does.
func (a addresses) prefix(offset uint32, p netip.Prefix) (loads []expr.Any, first []byte) {
	first = p.Addr().AsSlice()
	if p.Bits()%8 == 0 {
		size := p.Bits() / 8
		return []expr.Any{header(uint32(size), unix.NFT_REG_1, expr.PayloadBaseNetworkHeader, offset)}, first[:size]
	}
	mask := make([]byte, a.size)
	for bit := range p.Bits() {
		mask[bit/8] |= 0x80 >> (bit % 8)
	}
	return []expr.Any{
		header(a.size, unix.NFT_REG_1, expr.PayloadBaseNetworkHeader, offset),
		&expr.Bitwise{SourceRegister: unix.NFT_REG_1, DestRegister: unix.NFT_REG_1, Len: a.size, Mask: mask, Xor: make([]byte, a.size)},
	}, first
}
