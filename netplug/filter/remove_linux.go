package filter

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// RemoveOwner queues the removal of everything that the attachment owns, in
// every family. For an attachment that owns nothing it reads once and writes
// nothing. What another attachment has taken over stays.
func RemoveOwner(c *Conn, o Owner) {
	c.queue = append(c.queue, change{ownerQueries(o.chain()), func(b *batch) error {
		if err := b.removeOwner(o.chain()); err != nil {
			return fmt.Errorf("remove what %s/%s of network %s has in the packet filter: %w", o.ContainerID, o.IfName, o.Network, err)
		}
		return nil
	}})
}

// RemoveHostPorts is RemoveOwner for host ports alone: in a chain of plugins the
// spoof check has to stay until the plugin that made the interface removes it.
func RemoveHostPorts(c *Conn, o Owner) {
	c.queue = append(c.queue, change{ownerQueries(o.chain()), func(b *batch) error {
		for _, f := range []Family{IPv4, IPv6} {
			if err := b.removeFrom(f, o.chain()); err != nil {
				return fmt.Errorf("remove the host ports of %s/%s of network %s: %w", o.ContainerID, o.IfName, o.Network, err)
			}
		}
		return nil
	}})
}

// ours are the families that a pod can have elements in.
var ours = []Family{IPv4, IPv6, Bridge}

// ownerQueries ask whether the owner has anything, and in which family.
func ownerQueries(chain string) (all []query) {
	for _, f := range ours {
		all = append(all, chainQuery(f, Table, chain))
	}
	return all
}

func (b *batch) removeOwner(chain string) error {
	for _, f := range ours {
		if err := b.removeFrom(f, chain); err != nil {
			return err
		}
	}
	return nil
}

// removeFrom removes what an owner has in one family, if anything.
func (b *batch) removeFrom(f Family, chain string) error {
	found, err := b.ask(ownerQueries(chain)...)
	if err != nil || found[slices.Index(ours, f)] == nil {
		return err
	}
	return b.removeChain(f, chain)
}

// removeChain removes the elements that an owner's chain lists, then the chain.
func (b *batch) removeChain(f Family, chain string) error {
	x, err := b.index(f, chain)
	if err != nil {
		return err
	}
	if len(x.rules) == 0 {
		return b.removeUnlisted(f, chain)
	}
	var listed []element
	for _, r := range x.rules {
		listed = append(listed, listedElement(f, r.reference))
	}
	reads, err := queries(listed)
	if err != nil {
		return err
	}
	if _, err := b.ask(reads...); err != nil {
		return err
	}
	for _, e := range listed {
		if err := b.removeListed(e, chain); err != nil {
			return err
		}
		if err := b.strike(e, chain); err != nil {
			return err
		}
	}
	return nil
}

// listedElement is the element that an index refers to.
func listedElement(f Family, reference string) element {
	set, key, _ := strings.Cut(reference, " ")
	e := element{family: f, set: set, key: key}
	if l, ok := layoutOf(f, set); ok && l.value != nil {
		e.value = unspecified(f) // any: the key alone finds it
	}
	return e
}

// removeListed removes an element unless it is somebody else's by now.
func (b *batch) removeListed(e element, chain string) error {
	found, err := b.lookup(e)
	if err != nil {
		return err
	}
	if found == nil || chainPrefix+ownerKey(found.Comment) != chain {
		return nil
	}
	if err := b.remember(e, found.Val); err != nil {
		return err
	}
	return b.remove(e)
}

// unspecified is a value of the right form for a map that nobody will read.
func unspecified(f Family) string {
	if f == IPv6 {
		return concat(netip.IPv6Unspecified(), 0)
	}
	return concat(netip.IPv4Unspecified(), 0)
}

// removeUnlisted removes what a chain's owner has when somebody flushed the
// chain: every element is read for it.
func (b *batch) removeUnlisted(f Family, chain string) error {
	err := b.sweep(f, func(key string) bool { return chainPrefix+key == chain })
	b.nft.DelChain(&nftables.Chain{Table: Ruleset{f}.table(), Name: chain})
	return err
}

// ownedSets are the sets and maps whose elements attachments own.
func (b *batch) ownedSets(f Family) ([]string, error) {
	if f == Bridge {
		return []string{setChecked, setAllowed}, nil
	}
	sets := []string{mapHostIPs, mapHostPorts}
	rules, err := b.rules(f, Table, chainConditional)
	for _, r := range rules {
		if r.comment != "" { // the map it looks up in
			sets = append(sets, r.comment)
		}
	}
	return sets, err
}

// sweep queues the removal of all elements whose owner's key is to go.
func (b *batch) sweep(f Family, goes func(key string) bool) error {
	sets, err := b.ownedSets(f)
	if err != nil {
		return err
	}
	for _, set := range sets {
		objects, err := b.list(elementsQuery(f, set))
		if err != nil {
			return fmt.Errorf("read %s of table %s %s: %w", set, f, Table, err)
		}
		for _, object := range objects {
			elements, err := decodeElements(object)
			if err != nil {
				return fmt.Errorf("decode %s of table %s %s: %w", set, f, Table, err)
			}
			for _, e := range elements {
				if key := ownerKey(e.Comment); key == "" || !goes(key) {
					continue
				}
				if err := b.nft.SetDeleteElements(libSet(f, set), []nftables.SetElement{{Key: bytes.Clone(e.Key)}}); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// collectAtOnce is how many attachments one transaction removes: enough that
// the commits do not matter, few enough for the socket's buffer.
const collectAtOnce = 64

// Collect removes what the attachments of a network own that are not among keep:
// the garbage collection of CNI. It commits by itself, some attachments at a
// time, each whole.
func Collect(c *Conn, network string, keep []Owner) error {
	kept := map[string]bool{}
	for _, o := range keep {
		if o.Network == network {
			kept[o.key()] = true
		}
	}
	goes := func(key string) bool { return strings.HasPrefix(key, networkKey(network)+"-") && !kept[key] }
	err := c.collectListed(goes)
	// Elements without a chain are left when somebody flushes our tables.
	c.queue = append(c.queue, change{run: func(b *batch) error {
		for _, f := range ours {
			if err := b.sweep(f, goes); err != nil {
				return err
			}
		}
		return nil
	}})
	if err = errors.Join(err, c.Flush()); err != nil {
		return fmt.Errorf("collect what network %s left in the packet filter: %w", network, err)
	}
	return nil
}

// collectListed removes the owners that have a chain.
func (c *Conn) collectListed(goes func(key string) bool) error {
	chains := map[string]bool{}
	for _, f := range ours {
		names, err := c.chainNames(f)
		if err != nil {
			return err
		}
		for _, n := range names {
			if key, ok := strings.CutPrefix(n, chainPrefix); ok && goes(key) {
				chains[n] = true
			}
		}
	}
	for n := range chains {
		c.queue = append(c.queue, change{ownerQueries(n), func(b *batch) error { return b.removeOwner(n) }})
		if len(c.queue) < collectAtOnce {
			continue
		}
		if err := c.Flush(); err != nil {
			return err
		}
	}
	return c.Flush()
}

// chainNames are the chains of our table of the family.
func (c *Conn) chainNames(f Family) (names []string, err error) {
	objects, err := c.list(query{unix.NFT_MSG_GETCHAIN, f, nil})
	if err != nil {
		return nil, fmt.Errorf("list the chains of family %s: %w", f, err)
	}
	for _, object := range objects {
		ad, err := netlink.NewAttributeDecoder(object)
		if err != nil {
			return nil, err
		}
		table, chain := "", ""
		for ad.Next() {
			switch ad.Type() {
			case unix.NFTA_CHAIN_TABLE:
				table = ad.String()
			case unix.NFTA_CHAIN_NAME:
				chain = ad.String()
			}
		}
		if err := ad.Err(); err != nil {
			return nil, err
		}
		if table == Table {
			names = append(names, chain)
		}
	}
	return names, nil
}
