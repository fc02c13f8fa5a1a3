package filter

import (
	"fmt"
	"strings"
)

// An element is one entry of a set or map, as text: what nft prints and reads
// is also what is encoded for the kernel (encode.go).
type element struct {
	family  Family
	set     string
	key     string // fields joined by " . "
	value   string // likewise; "" in a set
	comment string // whose it is
}

// String is the nft command that adds the element.
func (e element) String() string {
	value := ""
	if e.value != "" {
		value = " : " + e.value
	}
	return fmt.Sprintf("nft add element %s %s %s '{ %s comment \"%s\"%s }'", e.family, Table, e.set, e.key, e.comment, value)
}

// reference names the element in the index of its owner.
func (e element) reference() string { return e.set + " " + e.key }

// indexRule is the nft command that records the element in its owner's chain.
// No packet enters that chain: it is how DEL finds the owner's elements without
// reading everybody's.
func (e element) indexRule(chain string) string {
	return fmt.Sprintf("nft add rule %s %s %s return comment '\"%s\"'", e.family, Table, chain, e.reference())
}

// concat joins fields to a key or value.
func concat(fields ...any) string {
	return strings.TrimSuffix(fmt.Sprintf(strings.Repeat("%v . ", len(fields)), fields...), " . ")
}

// script prints elements that belong to nobody in particular.
func script(elements []element) string {
	var lines []string
	for _, e := range elements {
		lines = append(lines, e.String())
	}
	return strings.Join(lines, "\n")
}

// ownedScript prints an owner's elements and the index of them.
func ownedScript(o Owner, elements []element) string {
	lines := []string{fmt.Sprintf("nft add chain %s %s %s", elements[0].family, Table, o.chain())}
	for _, e := range elements {
		lines = append(lines, e.String(), e.indexRule(o.chain()))
	}
	return strings.Join(lines, "\n")
}
