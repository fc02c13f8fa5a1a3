package filter

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Apply queues the family's table, sets and chains. What is there already is
// left alone; a chain with other than its rules gets them back.
func (r Ruleset) Apply(c *Conn) error {
	if _, ok := families[r.Family]; !ok {
		return fmt.Errorf("ruleset of family %q: use ip, ip6 or bridge", r.Family)
	}
	c.queue = append(c.queue, change{r.chainQueries(), r.write})
	return nil
}

func (r Ruleset) write(b *batch) error {
	whole, err := r.probe(b)
	if err != nil || whole {
		return err
	}
	table := b.nft.AddTable(r.table())
	for _, set := range r.sets() {
		if err := b.nft.AddSet(set, nil); err != nil {
			return fmt.Errorf("add %s: %w", set.Name, err)
		}
	}
	// All chains come before the first rule: rules jump to chains.
	for _, ch := range r.chains() {
		b.nft.AddChain(ch.object(table))
		if !ch.shared {
			b.nft.FlushChain(&nftables.Chain{Table: table, Name: ch.name})
		}
	}
	for _, ch := range r.chains() {
		for _, rule := range ch.rules {
			b.nft.AddRule(&nftables.Rule{Table: table, Chain: &nftables.Chain{Name: ch.name}, Exprs: rule})
		}
	}
	return nil
}

// probe looks, in one round trip, whether every chain exists and is used as
// often as it should be. The count covers its rules and the jumps to it, so a
// flushed chain shows; exactly which rules there are is for Check.
func (r Ruleset) probe(b *batch) (whole bool, err error) {
	objects, err := b.ask(r.chainQueries()...)
	if err != nil {
		return false, err
	}
	chains := r.chains()
	for i, ch := range chains {
		uses, err := chainUses(objects[i])
		want := ch.uses(chains)
		if err != nil || uses < want || uses > want && !ch.shared {
			return false, err
		}
	}
	return true, nil
}

func (r Ruleset) chainQueries() (queries []query) {
	for _, ch := range r.chains() {
		queries = append(queries, chainQuery(r.Family, Table, ch.name))
	}
	return queries
}

// uses is how often the kernel counts the chain as used.
func (ch chain) uses(all []chain) (n uint32) {
	n = uint32(len(ch.rules))
	for _, other := range all {
		for _, rule := range other.rules {
			for _, e := range rule {
				if v, ok := e.(*expr.Verdict); ok && v.Chain == ch.name {
					n++
				}
			}
		}
	}
	return n
}

// chainUses reads the count from the kernel's answer; 0 when there is no chain.
func chainUses(object []byte) (uses uint32, err error) {
	if object == nil {
		return 0, nil
	}
	ad, err := netlink.NewAttributeDecoder(object)
	if err != nil {
		return 0, err
	}
	ad.ByteOrder = binary.BigEndian
	for ad.Next() {
		if ad.Type() == unix.NFTA_CHAIN_USE {
			uses = ad.Uint32()
		}
	}
	return uses, ad.Err()
}

// Check says which chains of the family's table are missing or hold other rules.
func (r Ruleset) Check(c *Conn) error {
	for _, ch := range r.chains() {
		if err := r.checkChain(c, ch); err != nil {
			return fmt.Errorf("table %s %s: %w", r.Family, Table, err)
		}
	}
	return nil
}

func (r Ruleset) checkChain(c *Conn, want chain) error {
	objects, err := c.ask(chainQuery(r.Family, Table, want.name))
	if err != nil {
		return fmt.Errorf("read chain %s: %w", want.name, err)
	}
	if objects[0] == nil {
		return fmt.Errorf("chain %s is missing", want.name)
	}
	if want.shared {
		return nil
	}
	got, err := c.rules(r.Family, Table, want.name)
	if err != nil {
		return err
	}
	if len(got) != len(want.rules) {
		return fmt.Errorf("chain %s has %d rules, not %d", want.name, len(got), len(want.rules))
	}
	for i := range got {
		if !got[i].same(want.rules[i]) {
			return fmt.Errorf("rule %d of chain %s is not the one that was written", i+1, want.name)
		}
	}
	return nil
}

func (r Ruleset) table() *nftables.Table {
	return &nftables.Table{Family: families[r.Family], Name: Table}
}

// object is the chain as the library wants it.
func (ch chain) object(table *nftables.Table) *nftables.Chain {
	c := &nftables.Chain{Table: table, Name: ch.name, Type: ch.kind, Hooknum: ch.hook, Priority: ch.priority}
	if ch.hook != nil {
		accept := nftables.ChainPolicyAccept
		c.Policy = &accept
	}
	return c
}

// sets are the family's sets and maps, by name.
func (r Ruleset) sets() (all []*nftables.Set) {
	for _, name := range slices.Sorted(maps.Keys(layouts(r.Family))) {
		all = append(all, libSet(r.Family, name))
	}
	return all
}

// types are nft's types as the library knows them.
var types = map[string]nftables.SetDatatype{
	"ipv4_addr": nftables.TypeIPAddr, "ipv6_addr": nftables.TypeIP6Addr, "inet_proto": nftables.TypeInetProto,
	"inet_service": nftables.TypeInetService, "ifname": nftables.TypeIFName, "ether_addr": nftables.TypeEtherAddr,
}

// libSet is a set or map of ours as the library wants it.
func libSet(f Family, name string) *nftables.Set {
	l, _ := layoutOf(f, name)
	set := &nftables.Set{
		Table: Ruleset{f}.table(), Name: name, Interval: l.interval, IsMap: l.value != nil,
		KeyType: concatType(l.key), Concatenation: len(l.key) > 1, KeyByteOrder: binaryutil.BigEndian,
	}
	if len(l.key) == 1 && l.key[0] == "ifname" {
		set.KeyByteOrder = binaryutil.NativeEndian // a string
	}
	if set.IsMap {
		set.DataType = concatType(l.value)
	}
	return set
}

func concatType(names []string) nftables.SetDatatype {
	if len(names) == 1 {
		return types[names[0]]
	}
	var all []nftables.SetDatatype
	for _, n := range names {
		all = append(all, types[n])
	}
	return nftables.MustConcatSetType(all...) // at most three types, of the five it takes
}
