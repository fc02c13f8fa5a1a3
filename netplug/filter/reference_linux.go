package filter

import (
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// What the reference plugins (containernetworking/plugins up to v1.9.1) leave
// for an attachment in nftables, that of iptables-nft included. A node that was
// switched to these plugins has it until the pods of that time are gone. What
// they wrote with iptables-legacy netlink does not reach.

// A place is a chain that the reference writes to.
type place struct {
	family       Family
	table, chain string
}

func (p place) query() query { return chainQuery(p.family, p.table, p.chain) }

// A jumped chain is one of the reference's for one attachment: another chain
// jumps to it.
type jumped struct {
	place
	from string // the chain with the jumps
}

// leftovers are what an attachment may have left.
type leftovers struct {
	chains []jumped
	rules  []place // chains that have rules of many attachments
	mine   func(comment string) bool
}

// RemoveReference queues the removal of the reference bridge plugin's
// masquerading and spoof check of the attachment. On a host that never had them
// that costs a few more questions in the same message.
func RemoveReference(c *Conn, o Owner) {
	spoof := "cni-br-iface-" + o.ContainerID + "-" + o.IfName
	l := leftovers{
		chains: []jumped{
			{place{Bridge, "nat", spoof}, "PREROUTING"},
			{place{Bridge, "nat", spoof + "-mac"}, spoof},
		},
		rules: []place{{inet, "cni_plugins_masquerade", "masq_checks"}},
		mine:  func(comment string) bool { return strings.HasPrefix(comment, referenceKey(o)) },
	}
	for _, f := range []Family{IPv4, IPv6} {
		l.chains = append(l.chains, jumped{place{f, "nat", referenceChain("CNI-", o)}, "POSTROUTING"})
	}
	c.queue = append(c.queue, l.change())
}

// RemoveReferenceHostPorts is the same for the reference portmap plugin, which
// knows its rules by the container ID, or by that and the network.
func RemoveReferenceHostPorts(c *Conn, o Owner) {
	l := leftovers{mine: func(comment string) bool { return comment == o.ContainerID }}
	for _, f := range []Family{IPv4, IPv6} {
		l.chains = append(l.chains, jumped{place{f, "nat", referenceChain("CNI-DN-", o)}, "CNI-HOSTPORT-DNAT"})
		for _, chain := range []string{"hostports", "hostip_hostports", "masquerading"} {
			l.rules = append(l.rules, place{f, "cni_hostport", chain})
		}
	}
	c.queue = append(c.queue, l.change())
}

// CollectReference queues the removal of the reference bridge plugin's nftables
// masquerading of a network's attachments that are not among keep. What else it
// left does not say which network it is of.
func CollectReference(c *Conn, network string, keep []Owner) {
	kept := map[string]bool{}
	for _, o := range keep {
		kept[referenceKey(o)] = true
	}
	prefix := referenceHash(network) + "-"
	l := leftovers{
		rules: []place{{inet, "cni_plugins_masquerade", "masq_checks"}},
		mine: func(comment string) bool {
			key, _, _ := strings.Cut(comment, ",")
			return strings.HasPrefix(key, prefix) && !kept[key]
		},
	}
	c.queue = append(c.queue, l.change())
}

// maxName is the longest name of a chain (NFT_NAME_MAXLEN, without its zero); the
// kernel refuses to look for a longer one.
const maxName = 255

func (l leftovers) change() change {
	l.chains = slices.DeleteFunc(l.chains, func(j jumped) bool { return len(j.chain) > maxName })
	var reads []query
	for _, j := range l.chains {
		reads = append(reads, j.query())
	}
	for _, p := range l.rules {
		reads = append(reads, p.query())
	}
	return change{reads, l.remove}
}

// remove queues the deletion of the rules, then of the chains: first every jump,
// then what is in them, and at last the chains, which nothing refers to by then.
func (l leftovers) remove(b *batch) error {
	for _, p := range l.rules {
		mine := func(r rule) bool { return r.comment != "" && l.mine(r.comment) }
		if err := b.deleteRules(p, mine); err != nil {
			return err
		}
	}
	var present []jumped
	for _, j := range l.chains {
		found, err := b.ask(j.query())
		if err != nil {
			return err
		}
		if found[0] != nil {
			present = append(present, j)
		}
	}
	for _, j := range present {
		from := place{j.family, j.table, j.from}
		if err := b.deleteRules(from, func(r rule) bool { return r.jumpsTo(j.chain) }); err != nil {
			return err
		}
	}
	for _, j := range present {
		b.nft.FlushChain(j.object())
	}
	for _, j := range present {
		b.nft.DelChain(j.object())
	}
	return nil
}

func (p place) object() *nftables.Chain {
	return &nftables.Chain{Table: &nftables.Table{Family: families[p.family], Name: p.table}, Name: p.chain}
}

// deleteRules queues the deletion of those rules of a chain, if it is there.
func (b *batch) deleteRules(p place, goes func(rule) bool) error {
	found, err := b.ask(p.query())
	if err != nil || found[0] == nil {
		return err
	}
	rules, err := b.rules(p.family, p.table, p.chain)
	if err != nil {
		return err
	}
	lib := p.object()
	for _, r := range rules {
		if !goes(r) {
			continue
		}
		if err := b.nft.DelRule(&nftables.Rule{Table: lib.Table, Chain: lib, Handle: r.handle}); err != nil {
			return fmt.Errorf("delete a rule of chain %s %s %s: %w", p.family, p.table, p.chain, err)
		}
	}
	return nil
}

func (r rule) jumpsTo(chain string) bool {
	for _, e := range r.exprs {
		if v, ok := e.(*expr.Verdict); ok && v.Chain == chain {
			return true
		}
	}
	return false
}

// referenceChain is the name of an attachment's chain in iptables' tables: 28
// characters, whichever the prefix.
func referenceChain(prefix string, o Owner) string {
	const length = 28
	sum := sha512.Sum512([]byte(o.Network + o.ContainerID))
	return (prefix + hex.EncodeToString(sum[:]))[:length]
}

// referenceKey begins the comments of an attachment's masquerade rules.
func referenceKey(o Owner) string {
	return referenceHash(o.Network) + "-" + referenceHash(o.IfName+":"+o.ContainerID)
}

// referenceHash is the first 16 hexadecimal digits of a SHA-512.
func referenceHash(text string) string {
	sum := sha512.Sum512([]byte(text))
	return hex.EncodeToString(sum[:8])
}
