package filter

import (
	"fmt"
	"reflect"

	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// A rule as the kernel lists it.
type rule struct {
	handle  uint64
	comment string
	exprs   []expr.Any // nil stands for an expression that no rule of ours has
}

// rules reads a chain's rules, in order. A chain that is not there has none.
func (c *Conn) rules(f Family, table, chain string) (rules []rule, err error) {
	objects, err := c.list(ruleQuery(f, table, chain))
	if err != nil {
		return nil, fmt.Errorf("read chain %s %s %s: %w", f, table, chain, err)
	}
	for _, object := range objects {
		r, err := decodeRule(f, object)
		if err != nil {
			return nil, fmt.Errorf("decode a rule of chain %s %s %s: %w", f, table, chain, err)
		}
		rules = append(rules, r)
	}
	return rules, nil
}

func decodeRule(f Family, object []byte) (r rule, err error) {
	ad, err := netlink.NewAttributeDecoder(object)
	if err != nil {
		return r, err
	}
	ad.ByteOrder = bigEndian
	for ad.Next() {
		switch ad.Type() {
		case unix.NFTA_RULE_HANDLE:
			r.handle = ad.Uint64()
		case unix.NFTA_RULE_USERDATA:
			r.comment = comment(ad.Bytes(), userdata.TypeComment)
		case unix.NFTA_RULE_EXPRESSIONS:
			ad.Nested(func(list *netlink.AttributeDecoder) error {
				for list.Next() {
					list.Nested(func(e *netlink.AttributeDecoder) error {
						decoded, err := decodeExpr(f, e)
						r.exprs = append(r.exprs, decoded)
						return err
					})
				}
				return nil
			})
		}
	}
	return r, ad.Err()
}

// decodeExpr reads one expression; nil for a kind that no rule of ours has.
func decodeExpr(f Family, ad *netlink.AttributeDecoder) (decoded expr.Any, err error) {
	kind := ""
	var data []byte
	for ad.Next() {
		switch ad.Type() {
		case unix.NFTA_EXPR_NAME:
			kind = ad.String()
		case unix.NFTA_EXPR_DATA:
			data = ad.Bytes()
		}
	}
	switch kind {
	case "bitwise":
		decoded = &expr.Bitwise{}
	case "cmp":
		decoded = &expr.Cmp{}
	case "counter":
		decoded = &expr.Counter{}
	case "ct":
		decoded = &expr.Ct{}
	case "fib":
		decoded = &expr.Fib{}
	case "immediate":
		return immediate(f, data)
	case "lookup":
		decoded = &expr.Lookup{}
	case "masq":
		decoded = &expr.Masq{}
	case "meta":
		decoded = &expr.Meta{}
	case "nat":
		decoded = &expr.NAT{}
	case "payload":
		decoded = &expr.Payload{}
	case "target":
		decoded = &expr.Target{}
	default:
		return nil, nil
	}
	return decoded, unmarshal(f, data, decoded)
}

// unmarshal is the library's, which reaches into attributes without a look at
// their length (expr/verdict.go): what it panics at is no expression of a
// kernel's.
func unmarshal(f Family, data []byte, into expr.Any) (err error) {
	defer func() {
		if reason := recover(); reason != nil {
			err = fmt.Errorf("malformed %T: %v", into, reason)
		}
	}()
	return expr.Unmarshal(byte(families[f]), data, into)
}

// same tells whether the rule does what the expressions say. Counters count and
// decide nothing.
func (r rule) same(want []expr.Any) bool {
	return reflect.DeepEqual(withoutCounters(r.exprs), want)
}

// endsForAll tells whether no packet gets past the rule.
func (r rule) endsForAll() bool {
	exprs := withoutCounters(r.exprs)
	if len(exprs) != 1 {
		return false
	}
	v, ok := exprs[0].(*expr.Verdict)
	return ok && v.Kind != expr.VerdictJump && v.Kind != expr.VerdictContinue
}

func withoutCounters(exprs []expr.Any) (rest []expr.Any) {
	for _, e := range exprs {
		if _, ok := e.(*expr.Counter); !ok {
			rest = append(rest, e)
		}
	}
	return rest
}
