package filter

import (
	"encoding/binary"
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// The names that iptables and Docker use.
const (
	filterTable  = "filter"
	forwardChain = "FORWARD"
	dockerChain  = "DOCKER-USER"
)

// Apply queues the rules where the host drops what it forwards and they are not
// there yet.
func (a ForwardAccept) Apply(c *Conn) error {
	if err := a.validate(); err != nil {
		return err
	}
	c.queue = append(c.queue, change{a.chainQueries(), a.write})
	return nil
}

func (a ForwardAccept) validate() error {
	if a.Family != IPv4 && a.Family != IPv6 {
		return fmt.Errorf("accept forwarding of family %q: use ip or ip6", a.Family)
	}
	if a.Bridge == "" || len(a.Bridge) > maxInterface {
		return fmt.Errorf("accept forwarding of bridge %q: an interface name has 1 to %d bytes", a.Bridge, maxInterface)
	}
	return nil
}

func (a ForwardAccept) write(b *batch) error {
	chain, missing, err := a.missing(b)
	if err != nil {
		return fmt.Errorf("accept forwarding of bridge %s: %w", a.Bridge, err)
	}
	table := &nftables.Table{Family: families[a.Family], Name: filterTable}
	// Each goes to the top, so the last comes first, as with iptables -I.
	for _, key := range missing {
		b.nft.InsertRule(&nftables.Rule{Table: table, Chain: &nftables.Chain{Name: chain}, Exprs: a.rule(key)})
	}
	return nil
}

// Check says which of the rules a host that drops what it forwards lacks.
func (a ForwardAccept) Check(c *Conn) error {
	if err := a.validate(); err != nil {
		return err
	}
	chain, missing, err := a.missing(newBatch(c))
	if err != nil {
		return fmt.Errorf("accept forwarding of bridge %s: %w", a.Bridge, err)
	}
	for _, key := range missing {
		return fmt.Errorf("chain %s %s %s drops what bridge %s forwards: no accept for %s", a.Family, filterTable, chain, a.Bridge, direction[key])
	}
	return nil
}

// direction is the iptables option of each key.
var direction = map[expr.MetaKey]string{expr.MetaKeyOIFNAME: "-o", expr.MetaKeyIIFNAME: "-i"}

// missing names the chain that has to have the rules, and which it lacks. No
// chain means that nothing on this host drops what it forwards, as far as the
// tables of iptables go.
func (a ForwardAccept) missing(b *batch) (chain string, keys []expr.MetaKey, err error) {
	chain, err = a.chain(b)
	if err != nil || chain == "" {
		return chain, nil, err
	}
	rules, err := b.rules(a.Family, filterTable, chain)
	if err != nil {
		return chain, nil, err
	}
	for _, key := range []expr.MetaKey{expr.MetaKeyOIFNAME, expr.MetaKeyIIFNAME} {
		if !reaches(rules, a.match(key)) {
			keys = append(keys, key)
		}
	}
	return chain, keys, nil
}

// chain is where a packet that is forwarded can be saved from being dropped.
func (a ForwardAccept) chain(b *batch) (string, error) {
	found, err := b.ask(a.chainQueries()...)
	if err != nil {
		return "", fmt.Errorf("look for the chains of %s: %w", a.Family.iptables(), err)
	}
	forward, err := decodeChain(found[1])
	if err != nil {
		return "", err
	}
	jumps := false
	if found[0] != nil && forward.hook {
		if jumps, err = a.jumps(b); err != nil {
			return "", err
		}
	}
	switch {
	case jumps:
		return dockerChain, nil
	case forward.hook && forward.policy == nftables.ChainPolicyDrop:
		return forwardChain, nil
	}
	return "", nil
}

func (a ForwardAccept) chainQueries() []query {
	return []query{chainQuery(a.Family, filterTable, dockerChain), chainQuery(a.Family, filterTable, forwardChain)}
}

// jumps tells whether FORWARD enters DOCKER-USER: a chain that Docker left
// behind helps nobody.
func (a ForwardAccept) jumps(b *batch) (bool, error) {
	rules, err := b.rules(a.Family, filterTable, forwardChain)
	if err != nil {
		return false, err
	}
	return reaches(rules, []expr.Any{&expr.Verdict{Kind: expr.VerdictJump, Chain: dockerChain}}), nil
}

// reaches tells whether every packet that a rule of that kind is for meets it:
// whether it is there, with no rule before it that ends the chain for all.
func reaches(rules []rule, want []expr.Any) bool {
	for _, r := range rules {
		if r.same(want) {
			return true
		}
		if r.endsForAll() {
			return false
		}
	}
	return false
}

// match is the rule without its counter.
func (a ForwardAccept) match(key expr.MetaKey) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: key, Register: unix.NFT_REG_1},
		// With its terminating zero the name matches whole, not as a prefix.
		&expr.Cmp{Op: expr.CmpOpEq, Register: unix.NFT_REG_1, Data: append([]byte(a.Bridge), 0)},
		&expr.Verdict{Kind: expr.VerdictAccept},
	}
}

// rule is the match with the counter that iptables-nft puts before the verdict.
func (a ForwardAccept) rule(key expr.MetaKey) []expr.Any {
	m := a.match(key)
	return []expr.Any{m[0], m[1], &expr.Counter{}, m[2]}
}

// chainState is what decides about a chain of others.
type chainState struct {
	table, name string
	hook        bool // it is a base chain
	number      uint32
	policy      nftables.ChainPolicy
}

// decodeChain reads the kernel's answer; the zero chain when there is none.
func decodeChain(object []byte) (s chainState, err error) {
	s.policy = nftables.ChainPolicyAccept
	if object == nil {
		return s, nil
	}
	ad, err := netlink.NewAttributeDecoder(object)
	if err != nil {
		return s, err
	}
	ad.ByteOrder = binary.BigEndian
	for ad.Next() {
		switch ad.Type() {
		case unix.NFTA_CHAIN_TABLE:
			s.table = ad.String()
		case unix.NFTA_CHAIN_NAME:
			s.name = ad.String()
		case unix.NFTA_CHAIN_POLICY:
			s.policy = nftables.ChainPolicy(ad.Uint32())
		case unix.NFTA_CHAIN_HOOK:
			s.hook = true
			ad.Nested(func(hook *netlink.AttributeDecoder) error {
				for hook.Next() {
					if hook.Type() == unix.NFTA_HOOK_HOOKNUM {
						s.number = hook.Uint32()
					}
				}
				return nil
			})
		}
	}
	return s, ad.Err()
}
