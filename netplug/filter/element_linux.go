package filter

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/google/nftables"
)

// Netlink's headers are in the host's byte order, nftables' attributes are not.
var (
	bigEndian    = binary.BigEndian
	nativeEndian = binary.NativeEndian
)

// object is the element as the kernel holds it. An interval of single addresses
// is two elements, where it begins and where it has ended.
func (e element) object() ([]nftables.SetElement, error) {
	l, ok := layoutOf(e.family, e.set)
	if !ok {
		return nil, fmt.Errorf("table %s %s has no %s", e.family, Table, e.set)
	}
	key, last, err := encode(l.key, e.key)
	if err != nil {
		return nil, fmt.Errorf("key of %s: %w", e.set, err)
	}
	object := nftables.SetElement{Key: key, Comment: e.comment}
	if l.value != nil {
		if object.Val, _, err = encode(l.value, e.value); err != nil {
			return nil, fmt.Errorf("value of %s: %w", e.set, err)
		}
	}
	switch {
	case l.interval && len(l.key) > 1:
		object.KeyEnd = last
	case l.interval:
		if end := following(last); end != nil {
			return []nftables.SetElement{object, {Key: end, IntervalEnd: true}}, nil
		}
	}
	return []nftables.SetElement{object}, nil
}

// following is the address after this one; nil after the last of all, where an
// interval needs no end.
func following(address []byte) []byte {
	next := bytes.Clone(address)
	for i := len(next) - 1; i >= 0; i-- {
		next[i]++
		if next[i] != 0 {
			return next
		}
	}
	return nil
}

// queries ask for what the kernel holds under the keys of the elements. Single
// prefixes are left to lookupInterval.
func queries(elements []element) (all []query, err error) {
	for _, e := range elements {
		if e.isInterval() {
			continue
		}
		objects, err := e.object()
		if err != nil {
			return nil, err
		}
		for _, object := range objects {
			q, err := elementQuery(e.family, e.set, object)
			if err != nil {
				return nil, err
			}
			all = append(all, q)
		}
	}
	return all, nil
}

// lookup reads the kernel's element of that key; nil where there is none. For
// an interval, the one that has exactly these ends.
func (b *batch) lookup(e element) (*nftables.SetElement, error) {
	if e.isInterval() {
		return b.lookupInterval(e)
	}
	asked, err := queries([]element{e})
	if err != nil {
		return nil, err
	}
	objects, err := b.ask(asked...)
	if err != nil || objects[0] == nil {
		return nil, err
	}
	want, err := e.object()
	if err != nil {
		return nil, err
	}
	found, err := decodeElements(objects[0])
	if err != nil {
		return nil, fmt.Errorf("decode %s { %s }: %w", e.set, e.key, err)
	}
	if len(found) != 1 || !sameKey(found[0], want[0]) {
		return nil, nil
	}
	return &found[0], nil
}

func sameKey(a, b nftables.SetElement) bool {
	return bytes.Equal(a.Key, b.Key) && bytes.Equal(a.KeyEnd, b.KeyEnd) && a.IntervalEnd == b.IntervalEnd
}

// share ensures elements that belong to a whole network, and are never undone.
func (b *batch) share(elements []element) error {
	for _, e := range elements {
		found, err := b.lookup(e)
		if err != nil {
			return err
		}
		if found != nil || !b.first(e) {
			continue
		}
		if err := b.makeRoom(e); err != nil {
			return err
		}
		if err := b.add(e); err != nil {
			return err
		}
	}
	return nil
}

// first tells whether the batch has no such element yet.
func (b *batch) first(e element) bool {
	key := string(e.family) + " " + e.reference()
	_, ok := b.added[key]
	b.added[key] = e.value
	return !ok
}

// add queues the element as it is.
func (b *batch) add(e element) error {
	objects, err := e.object()
	if err != nil {
		return err
	}
	return b.nft.SetAddElements(libSet(e.family, e.set), objects)
}

// A taking is how an attachment came to have an element.
type taking int

const (
	had   taking = iota // it had it already
	found               // it was nobody's
	took                // it was somebody else's
)

// own ensures elements of one attachment, and tells how it came by the last.
// The newest owner has an element: a mapping that leaked must not keep the port
// from a pod that lives.
func (b *batch) own(o Owner, elements []element) (how taking, err error) {
	for _, e := range elements {
		if leads, ok := b.added[string(e.family)+" "+e.reference()]; ok && leads != e.value {
			return how, fmt.Errorf("%s { %s } is to lead to %s and to %s: ask for it once", e.set, e.key, leads, e.value)
		}
		if !b.first(e) {
			continue
		}
		if how, err = b.take(o, e); err != nil {
			return how, err
		}
	}
	return how, nil
}

// take makes the element the owner's, whoever has it.
func (b *batch) take(o Owner, e element) (how taking, err error) {
	present, err := b.lookup(e)
	if err != nil {
		return had, err
	}
	want, err := e.object()
	if err != nil {
		return had, err
	}
	switch {
	case present == nil:
		how = found
	case present.Comment == e.comment && bytes.Equal(present.Val, want[0].Val):
		return had, b.record(e, o.chain())
	default:
		how = took
		if err := b.evict(o, e, ownerKey(present.Comment)); err != nil {
			return how, err
		}
	}
	if err := b.nft.SetAddElements(libSet(e.family, e.set), want); err != nil {
		return how, err
	}
	return how, b.record(e, o.chain())
}

// evict removes an element that is in the way, and the former owner's record of it.
func (b *batch) evict(o Owner, e element, former string) error {
	if former != "" && former != o.key() {
		if err := b.strike(e, chainPrefix+former); err != nil {
			return err
		}
	}
	return b.remove(e)
}

// remove queues the element's deletion.
func (b *batch) remove(e element) error {
	objects, err := e.object()
	if err != nil {
		return err
	}
	for i := range objects {
		objects[i].Comment, objects[i].Val = "", nil
	}
	return b.nft.SetDeleteElements(libSet(e.family, e.set), objects)
}

// verify says what of the elements the kernel does not hold.
func (b *batch) verify(elements []element) error {
	for _, e := range elements {
		found, err := b.lookup(e)
		if err != nil {
			return err
		}
		if found == nil {
			return fmt.Errorf("%s of table %s %s has no { %s }", e.set, e.family, Table, e.key)
		}
	}
	return nil
}

// verifyOwned is verify, and that the owner still has them.
func (b *batch) verifyOwned(o Owner, elements []element) error {
	if err := b.verify(elements); err != nil {
		return err
	}
	for _, e := range elements {
		found, err := b.lookup(e)
		if err != nil {
			return err
		}
		want, err := e.object()
		if err != nil {
			return err
		}
		switch {
		case ownerKey(found.Comment) != o.key():
			return fmt.Errorf("%s of table %s %s has { %s } for another attachment", e.set, e.family, Table, e.key)
		case !bytes.Equal(found.Val, want[0].Val):
			return fmt.Errorf("%s of table %s %s leads { %s } elsewhere than to %s", e.set, e.family, Table, e.key, e.value)
		}
		x, err := b.index(e.family, o.chain())
		if err != nil {
			return err
		}
		if _, ok := x.find(e.reference()); !ok {
			return fmt.Errorf("chain %s %s %s does not list %s", e.family, Table, o.chain(), e.reference())
		}
	}
	return nil
}
