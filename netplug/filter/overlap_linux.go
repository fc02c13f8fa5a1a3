package filter

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// An interval is what one prefix, or a concatenation of prefixes, is in a set:
// an element, and for a single prefix the one that ends it.
type interval struct {
	elements    []nftables.SetElement // as they are deleted
	first, last []byte                // of the key, field after field
	comment     string
}

// makeRoom removes what the element's network had in the set before its prefix
// changed, and refuses an element that overlaps another network's without being
// equal: a packet has to belong to one. The kernel would refuse both, without
// saying which.
func (b *batch) makeRoom(e element) error {
	l, _ := layoutOf(e.family, e.set)
	if !l.interval {
		return nil
	}
	objects, err := e.object()
	if err != nil {
		return err
	}
	want := intervals(objects, len(l.key))[0]
	present, err := b.intervals(e, len(l.key))
	if err != nil {
		return err
	}
	for _, other := range present {
		switch {
		case !want.overlaps(other, len(l.key)):
		case sameNetwork(e.comment, other.comment) && !want.equals(other):
			if err := b.nft.SetDeleteElements(libSet(e.family, e.set), other.elements); err != nil {
				return err
			}
		default:
			// Another ADD may have added the very network since the lookup: then
			// it is worth looking again (clashed).
			return fmt.Errorf("%s overlaps what another network has in %s of table %s %s (%s): give the networks prefixes that are equal or apart: %w",
				e.key, e.set, e.family, Table, other.comment, unix.EEXIST)
		}
	}
	return nil
}

// isInterval tells whether the element is two in the kernel: the start of a
// prefix, and the end.
func (e element) isInterval() bool {
	l, _ := layoutOf(e.family, e.set)
	return l.interval && len(l.key) == 1
}

// lookupInterval is lookup for a set of single prefixes. The kernel cannot be
// asked for one: where two prefixes touch, an end and a start have the same key,
// and it answers with either. Such a set has an element a network, so reading
// all of it is no more work.
func (b *batch) lookupInterval(e element) (*nftables.SetElement, error) {
	objects, err := e.object()
	if err != nil {
		return nil, err
	}
	want := intervals(objects, 1)[0]
	present, err := b.intervals(e, 1)
	if err != nil {
		return nil, err
	}
	for _, other := range present {
		if want.equals(other) {
			found := other.elements[0]
			found.Comment = other.comment
			return &found, nil
		}
	}
	return nil, nil
}

func (b *batch) intervals(e element, fields int) ([]interval, error) {
	objects, err := b.list(elementsQuery(e.family, e.set))
	if err != nil {
		return nil, fmt.Errorf("read %s of table %s %s: %w", e.set, e.family, Table, err)
	}
	var elements []nftables.SetElement
	for _, object := range objects {
		some, err := decodeElements(object)
		if err != nil {
			return nil, fmt.Errorf("decode %s of table %s %s: %w", e.set, e.family, Table, err)
		}
		elements = append(elements, some...)
	}
	return intervals(elements, fields), nil
}

// intervals pairs the elements of a set of single prefixes, each start with the
// next end; in a concatenation each element has both.
func intervals(elements []nftables.SetElement, fields int) (all []interval) {
	bare := func(e nftables.SetElement) nftables.SetElement {
		return nftables.SetElement{Key: e.Key, KeyEnd: e.KeyEnd, IntervalEnd: e.IntervalEnd}
	}
	if fields > 1 {
		for _, e := range elements {
			all = append(all, interval{[]nftables.SetElement{bare(e)}, e.Key, e.KeyEnd, e.Comment})
		}
		return all
	}
	// Where one interval ends and the next starts, the end is the former's.
	slices.SortStableFunc(elements, func(a, b nftables.SetElement) int { return bytes.Compare(a.Key, b.Key) })
	for i, e := range elements {
		if e.IntervalEnd {
			continue
		}
		found := interval{[]nftables.SetElement{bare(e)}, e.Key, bytes.Repeat([]byte{0xff}, len(e.Key)), e.Comment}
		for _, end := range elements[i+1:] {
			if end.IntervalEnd && !bytes.Equal(end.Key, e.Key) {
				found.elements, found.last = append(found.elements, bare(end)), preceding(end.Key)
				break
			}
		}
		all = append(all, found)
	}
	return all
}

// overlaps tells whether some packet is in both: in every field.
func (i interval) overlaps(other interval, fields int) bool {
	size := len(i.first) / fields
	for from := 0; from < len(i.first); from += size {
		to := from + size
		if bytes.Compare(i.first[from:to], other.last[from:to]) > 0 || bytes.Compare(other.first[from:to], i.last[from:to]) > 0 {
			return false
		}
	}
	return true
}

func (i interval) equals(other interval) bool {
	return bytes.Equal(i.first, other.first) && bytes.Equal(i.last, other.last)
}

// sameNetwork compares the hashes at the start of networks' comments.
func sameNetwork(a, b string) bool {
	key, _, ok := strings.Cut(a, " ")
	return ok && strings.HasPrefix(b, key+" ")
}

// preceding is the address before this one.
func preceding(address []byte) []byte {
	before := bytes.Clone(address)
	for i := len(before) - 1; i >= 0; i-- {
		before[i]--
		if before[i] != 0xff {
			break
		}
	}
	return before
}
