package filter

import (
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// What the reference plugins (containernetworking/plugins up to v1.9.1) leave in
// nftables for an attachment. A node that was switched to these plugins has
// them until the pods of that time are gone. Their iptables-legacy rules are out
// of netlink's reach; of their iptables-nft rules the plugins' own chains are
// left to whoever removes those plugins.
const (
	referenceMasquerade = "cni_plugins_masquerade" // table inet
	referenceChecks     = "masq_checks"
	referenceHostPorts  = "cni_hostport" // tables ip and ip6
	referenceSpoof      = "nat"          // table bridge
	referencePrerouting = "PREROUTING"
)

// referenceHostPortChains are the chains whose rules carry the container ID.
var referenceHostPortChains = []string{"hostports", "hostip_hostports", "masquerading"}

// RemoveReference queues the removal of the reference bridge plugin's
// masquerading and spoof check of the attachment. A host that never had them
// costs what one more question in the same message costs.
func RemoveReference(c *Conn, o Owner) {
	iface := spoofChain(o)
	reads := []query{
		chainQuery(inet, referenceMasquerade, referenceChecks),
		chainQuery(Bridge, referenceSpoof, iface),
	}
	c.queue = append(c.queue, change{reads, func(b *batch) error {
		found, err := b.ask(reads...)
		if err != nil {
			return err
		}
		if found[0] != nil {
			mine := func(comment string) bool { return strings.HasPrefix(comment, referenceKey(o)) }
			if err := b.deleteRules(inet, referenceMasquerade, referenceChecks, mine); err != nil {
				return err
			}
		}
		if found[1] == nil {
			return nil
		}
		return b.removeReferenceSpoof(iface)
	}})
}

// RemoveReferenceHostPorts is the same for the reference portmap plugin, which
// knows its rules by the container ID alone.
func RemoveReferenceHostPorts(c *Conn, o Owner) {
	var reads []query
	for _, f := range []Family{IPv4, IPv6} {
		for _, chain := range referenceHostPortChains {
			reads = append(reads, chainQuery(f, referenceHostPorts, chain))
		}
	}
	c.queue = append(c.queue, change{reads, func(b *batch) error {
		found, err := b.ask(reads...)
		if err != nil {
			return err
		}
		mine := func(comment string) bool { return comment == o.ContainerID }
		for i, object := range found {
			if object == nil {
				continue
			}
			family, chain := []Family{IPv4, IPv6}[i/len(referenceHostPortChains)], referenceHostPortChains[i%len(referenceHostPortChains)]
			if err := b.deleteRules(family, referenceHostPorts, chain, mine); err != nil {
				return err
			}
		}
		return nil
	}})
}

// CollectReference queues the removal of the reference bridge plugin's
// masquerading of a network's attachments that are not among keep. Its spoof
// checks and host ports do not say which network they are of.
func CollectReference(c *Conn, network string, keep []Owner) {
	kept := map[string]bool{}
	for _, o := range keep {
		kept[referenceKey(o)] = true
	}
	prefix := referenceHash(network) + "-"
	gone := func(comment string) bool {
		key, _, _ := strings.Cut(comment, ",")
		return strings.HasPrefix(key, prefix) && !kept[key]
	}
	c.queue = append(c.queue, change{run: func(b *batch) error {
		return b.deleteRules(inet, referenceMasquerade, referenceChecks, gone)
	}})
}

// deleteRules queues the deletion of a chain's rules whose comments say so.
func (b *batch) deleteRules(f Family, table, chain string, goes func(comment string) bool) error {
	rules, err := b.rules(f, table, chain)
	if err != nil {
		return err
	}
	for _, r := range rules {
		if r.comment == "" || !goes(r.comment) {
			continue
		}
		if err := b.deleteRule(f, table, chain, r.handle); err != nil {
			return fmt.Errorf("delete a rule of chain %s %s %s: %w", f, table, chain, err)
		}
	}
	return nil
}

func (b *batch) deleteRule(f Family, table, chain string, handle uint64) error {
	t := &nftables.Table{Family: families[f], Name: table}
	return b.nft.DelRule(&nftables.Rule{Table: t, Chain: &nftables.Chain{Name: chain}, Handle: handle})
}

// removeReferenceSpoof removes the jump to an interface's chain, that chain and
// the one for its MAC address, in the order in which nothing refers to them.
func (b *batch) removeReferenceSpoof(iface string) error {
	rules, err := b.rules(Bridge, referenceSpoof, referencePrerouting)
	if err != nil {
		return err
	}
	for _, r := range rules {
		if !r.jumpsTo(iface) {
			continue
		}
		if err := b.deleteRule(Bridge, referenceSpoof, referencePrerouting, r.handle); err != nil {
			return fmt.Errorf("delete the jump to chain %s: %w", iface, err)
		}
	}
	table := &nftables.Table{Family: families[Bridge], Name: referenceSpoof}
	for _, chain := range []string{iface, iface + "-mac"} {
		found, err := b.ask(chainQuery(Bridge, referenceSpoof, chain))
		if err != nil {
			return err
		}
		if found[0] != nil {
			b.nft.FlushChain(&nftables.Chain{Table: table, Name: chain})
			b.nft.DelChain(&nftables.Chain{Table: table, Name: chain})
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

// spoofChain is the reference's name for an interface's chain.
func spoofChain(o Owner) string { return "cni-br-iface-" + o.ContainerID + "-" + o.IfName }

// referenceKey begins the comments of an attachment's masquerade rules.
func referenceKey(o Owner) string {
	return referenceHash(o.Network) + "-" + referenceHash(o.IfName+":"+o.ContainerID)
}

// referenceHash is the first 16 hexadecimal digits of a SHA-512.
func referenceHash(text string) string {
	sum := sha512.Sum512([]byte(text))
	return hex.EncodeToString(sum[:8])
}
