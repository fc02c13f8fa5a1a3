package filter

import (
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
)

// A batch is one attempt to commit what is queued: what was read for it and
// what it will have changed.
type batch struct {
	*Conn
	read    map[string][]byte // answers to queries, by the query on the wire
	indexes map[indexKey]*index
	added   map[string]string // elements of this batch: what they are → where they lead
	flows   []flow
}

func newBatch(c *Conn) *batch {
	return &batch{Conn: c, read: map[string][]byte{}, indexes: map[indexKey]*index{}, added: map[string]string{}}
}

// A change reads the kernel's state and adds messages to a batch. It runs again
// when the batch clashed with somebody else's.
type change struct {
	reads []query // what it is going to ask: asked for all changes at once
	run   func(*batch) error
}

func (b *batch) run(queue []change) error {
	var reads []query
	for _, change := range queue {
		reads = append(reads, change.reads...)
	}
	if _, err := b.ask(reads...); err != nil {
		return err
	}
	for _, change := range queue {
		if err := change.run(b); err != nil {
			return err
		}
	}
	return nil
}

// ask is Conn.ask that asks nothing twice: a batch is about one state.
func (b *batch) ask(queries ...query) ([][]byte, error) {
	var unknown []query
	var names []string
	asked := map[string]bool{}
	for _, q := range queries {
		m, err := q.message(0)
		if err != nil {
			return nil, err
		}
		name := fmt.Sprint(q.kind, " ", string(m.Data))
		if _, ok := b.read[name]; !ok && !asked[name] {
			unknown = append(unknown, q)
			asked[name] = true
		}
		names = append(names, name)
	}
	if len(unknown) == 0 {
		return b.answers(names), nil
	}
	objects, err := b.Conn.ask(unknown...)
	if err != nil {
		return nil, fmt.Errorf("read nftables: %w", err)
	}
	i := 0
	for _, name := range names {
		if asked[name] {
			b.read[name] = objects[i]
			delete(asked, name)
			i++
		}
	}
	return b.answers(names), nil
}

func (b *batch) answers(names []string) (objects [][]byte) {
	for _, name := range names {
		objects = append(objects, b.read[name])
	}
	return objects
}

// An index is an owner's chain: a rule for each of its elements, whose comment
// says which. It is how a DEL that knows neither ports nor addresses finds them
// at the same cost among ten elements or ten thousand. It also makes taking an
// element from its owner safe: whoever deletes an element deletes its rule by
// handle, so of two that do it at once, one fails whole, and looks again.
type index struct {
	exists bool
	rules  []listing
}

type indexKey struct {
	family Family
	chain  string
}

// A listing is one element in an index.
type listing struct {
	reference string // set and key
	handle    uint64 // 0: of this batch
}

func (x *index) find(reference string) (int, bool) {
	for i, r := range x.rules {
		if r.reference == reference {
			return i, true
		}
	}
	return 0, false
}

// index reads an owner's chain, once a batch.
func (b *batch) index(f Family, chain string) (*index, error) {
	key := indexKey{f, chain}
	if x, ok := b.indexes[key]; ok {
		return x, nil
	}
	objects, err := b.ask(chainQuery(f, Table, chain))
	if err != nil {
		return nil, fmt.Errorf("read chain %s %s %s: %w", f, Table, chain, err)
	}
	x := &index{exists: objects[0] != nil}
	if x.exists {
		rules, err := b.rules(f, Table, chain)
		if err != nil {
			return nil, err
		}
		for _, r := range rules {
			x.rules = append(x.rules, listing{reference: r.comment, handle: r.handle})
		}
	}
	b.indexes[key] = x
	return x, nil
}

// record adds an element to its owner's index.
func (b *batch) record(e element, chain string) error {
	x, err := b.index(e.family, chain)
	if err != nil {
		return err
	}
	if _, ok := x.find(e.reference()); ok {
		return nil
	}
	lib := &nftables.Chain{Table: Ruleset{e.family}.table(), Name: chain}
	if !x.exists {
		b.nft.AddChain(lib)
		x.exists = true
	}
	b.nft.AddRule(&nftables.Rule{
		Table: lib.Table, Chain: lib, Exprs: []expr.Any{&expr.Verdict{Kind: expr.VerdictReturn}},
		UserData: userdata.AppendString(nil, userdata.TypeComment, e.reference()),
	})
	x.rules = append(x.rules, listing{reference: e.reference()})
	return nil
}

// strike removes an element from the index it is in, and the chain with the
// last of its rules.
func (b *batch) strike(e element, chain string) error {
	x, err := b.index(e.family, chain)
	if err != nil {
		return err
	}
	i, ok := x.find(e.reference())
	if !ok || x.rules[i].handle == 0 {
		return nil
	}
	lib := &nftables.Chain{Table: Ruleset{e.family}.table(), Name: chain}
	if err := b.nft.DelRule(&nftables.Rule{Table: lib.Table, Chain: lib, Handle: x.rules[i].handle}); err != nil {
		return err
	}
	x.rules = append(x.rules[:i:i], x.rules[i+1:]...)
	if len(x.rules) == 0 {
		b.nft.DelChain(lib)
		x.exists = false
	}
	return nil
}
