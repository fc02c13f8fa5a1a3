package filter

import (
	"errors"
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// probeTable exists inside one transaction only.
const probeTable = "mascri-probe"

// Usable tells whether the kernel takes all that the rulesets of the family are
// made of. It makes one of each and removes it in the same transaction, so that
// nobody ever sees it and nothing is left.
func Usable(c *Conn, f Family) error {
	table := c.nft.AddTable(&nftables.Table{Family: families[f], Name: probeTable})
	hashed, interval := libSet(f, mapHostPorts), libSet(f, setInside)
	for _, set := range []*nftables.Set{hashed, interval} {
		set.Table = table
		if err := c.nft.AddSet(set, nil); err != nil {
			return fmt.Errorf("add a set: %w", err)
		}
	}
	for _, ch := range routedChains(addressing(f)) {
		if ch.hook == nil {
			continue
		}
		c.nft.AddChain(ch.object(table))
		for _, rule := range probeRules(ch) {
			c.nft.AddRule(&nftables.Rule{Table: table, Chain: &nftables.Chain{Name: ch.name}, Exprs: rule})
		}
	}
	c.nft.DelTable(table)
	if err := c.commit(); err != nil {
		err = fmt.Errorf("nftables of the kernel takes no address translation of family %s (CONFIG_NF_TABLES, NFT_NAT, NFT_MASQ, NFT_FIB, NFT_CT; CAP_NET_ADMIN): %w", f, err)
		return errors.Join(err, c.redial())
	}
	return nil
}

// probeRules use each kind of expression where the hook allows it.
func probeRules(ch chain) [][]expr.Any {
	if ch.name == chainPostrouting {
		return [][]expr.Any{join(throughHostPort(), masquerade())}
	}
	local := []expr.Any{&expr.Fib{Register: unix.NFT_REG_1, FlagDADDR: true, ResultADDRTYPE: true}}
	return [][]expr.Any{join(local, verdict(expr.VerdictAccept, ""))}
}
