package filter

import (
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// The rules of ruleset.go as the kernel's expressions: small programs over
// registers. A concatenation is fields loaded into registers side by side.

// chains are the chains of the family with their rules.
func (r Ruleset) chains() []chain {
	if r.Family == Bridge {
		return bridgedChains()
	}
	all := routedChains(addressing(r.Family))
	if r.Family == IPv4 {
		all = append(all, guardChain())
	}
	return all
}

// A chain with all its rules. A base chain has a hook.
type chain struct {
	name     string
	shared   bool // steps of other kinds add rules to it
	kind     nftables.ChainType
	hook     *nftables.ChainHook
	priority *nftables.ChainPriority
	rules    [][]expr.Any
}

// An address family's ways: where its header keeps the addresses, and how many
// 32-bit registers one takes.
type addresses struct {
	family    byte
	src, dst  uint32 // offsets in the network header
	size      uint32 // bytes
	multicast netip.Prefix
}

func addressing(f Family) addresses {
	if f == IPv6 {
		return addresses{unix.NFPROTO_IPV6, 8, 24, 16, netip.MustParsePrefix("ff00::/8")}
	}
	return addresses{unix.NFPROTO_IPV4, 12, 16, 4, netip.MustParsePrefix("224.0.0.0/4")}
}

func routedChains(a addresses) []chain {
	return []chain{
		{name: chainConditional, shared: true},
		{name: chainLookup, rules: [][]expr.Any{
			verdict(expr.VerdictJump, chainConditional),
			join(concatKey(protocol, a.destination, destinationPort), a.dnat(mapHostIPs)),
			join(concatKey(protocol, destinationPort), a.dnat(mapHostPorts)),
		}},
		{name: chainPrerouting, kind: nftables.ChainTypeNAT, hook: nftables.ChainHookPrerouting,
			priority: nftables.ChainPriorityNATDest, rules: [][]expr.Any{toThisHost()}},
		{name: chainOutput, kind: nftables.ChainTypeNAT, hook: nftables.ChainHookOutput,
			priority: nftables.ChainPriorityNATDest, rules: [][]expr.Any{toThisHost()}},
		{name: chainPostrouting, kind: nftables.ChainTypeNAT, hook: nftables.ChainHookPostrouting,
			priority: nftables.ChainPriorityNATSource, rules: [][]expr.Any{
				join(throughHostPort(), concatKey(a.source, a.destination), in(setHairpin), masquerade()),
				join(throughHostPort(), concatKey(a.destination), in(setMasqueradeAll), masquerade()),
				join(concatKey(a.source, a.destination), in(setInside), verdict(expr.VerdictReturn, "")),
				join(a.toMulticast(), verdict(expr.VerdictReturn, "")),
				join(concatKey(a.source), in(setSources), masquerade()),
			}},
	}
}

func guardChain() chain {
	ipv4 := addressing(IPv4)
	loopback := join(
		[]expr.Any{header(1, unix.NFT_REG_1, expr.PayloadBaseNetworkHeader, ipv4.dst)},
		equal(loopback4.Addr().AsSlice()[:1]))
	return chain{name: chainGuard, kind: nftables.ChainTypeFilter, hook: nftables.ChainHookPrerouting,
		priority: nftables.ChainPriorityRaw, rules: [][]expr.Any{
			join(concatKey(inputInterface), in(setGuarded), loopback, verdict(expr.VerdictDrop, "")),
		}}
}

func bridgedChains() []chain {
	return []chain{{name: chainPrerouting, kind: nftables.ChainTypeFilter, hook: nftables.ChainHookPrerouting,
		priority: nftables.ChainPriorityRef(-300), rules: [][]expr.Any{
			join(concatKey(inputInterface), in(setChecked),
				concatKey(inputInterface, sourceMAC), notIn(setAllowed), verdict(expr.VerdictDrop, "")),
		}}}
}

// join strings parts of a rule together.
func join(parts ...[]expr.Any) (rule []expr.Any) {
	for _, p := range parts {
		rule = append(rule, p...)
	}
	return rule
}

// A field loads one value into a register and says how many bytes it takes.
type field func(register uint32) (load expr.Any, size uint32)

// concatKey loads fields into registers side by side, beginning with the first.
func concatKey(fields ...field) (loads []expr.Any) {
	word := uint32(0)
	for _, f := range fields {
		load, size := f(register(word))
		loads = append(loads, load)
		word += (size + 3) / 4
	}
	return loads
}

// register names the 32-bit register of that number. Where one of the four old
// 128-bit registers begins, nft uses the old name.
func register(word uint32) uint32 {
	if word%4 == 0 {
		return unix.NFT_REG_1 + word/4
	}
	return unix.NFT_REG32_00 + word
}

func protocol(register uint32) (expr.Any, uint32) {
	return &expr.Meta{Key: expr.MetaKeyL4PROTO, Register: register}, 1
}

func inputInterface(register uint32) (expr.Any, uint32) {
	return &expr.Meta{Key: expr.MetaKeyIIFNAME, Register: register}, maxInterface + 1
}

func destinationPort(register uint32) (expr.Any, uint32) {
	return header(2, register, expr.PayloadBaseTransportHeader, 2), 2
}

func sourceMAC(register uint32) (expr.Any, uint32) {
	return header(6, register, expr.PayloadBaseLLHeader, 6), 6
}

func (a addresses) source(register uint32) (expr.Any, uint32) {
	return header(a.size, register, expr.PayloadBaseNetworkHeader, a.src), a.size
}

func (a addresses) destination(register uint32) (expr.Any, uint32) {
	return header(a.size, register, expr.PayloadBaseNetworkHeader, a.dst), a.size
}

// header loads bytes of a packet's header.
func header(size, register uint32, base expr.PayloadBase, offset uint32) expr.Any {
	return &expr.Payload{DestRegister: register, Base: base, Offset: offset, Len: size}
}

// dnat looks the key up in a map and goes where it leads; without an entry the
// rule ends there.
func (a addresses) dnat(name string) []expr.Any {
	port := register(a.size / 4)
	return []expr.Any{
		&expr.Lookup{SourceRegister: unix.NFT_REG_1, DestRegister: unix.NFT_REG_1, IsDestRegSet: true, SetName: name},
		&expr.NAT{Type: expr.NATTypeDestNAT, Family: uint32(a.family), Specified: true,
			RegAddrMin: unix.NFT_REG_1, RegAddrMax: unix.NFT_REG_1, RegProtoMin: port, RegProtoMax: port},
	}
}

func in(set string) []expr.Any {
	return []expr.Any{&expr.Lookup{SourceRegister: unix.NFT_REG_1, SetName: set}}
}

func notIn(set string) []expr.Any {
	return []expr.Any{&expr.Lookup{SourceRegister: unix.NFT_REG_1, SetName: set, Invert: true}}
}

// toThisHost sends what is for an address of the host to the lookup.
func toThisHost() []expr.Any {
	local := binaryutil.NativeEndian.PutUint32(unix.RTN_LOCAL)
	return join([]expr.Any{&expr.Fib{Register: unix.NFT_REG_1, FlagDADDR: true, ResultADDRTYPE: true}},
		equal(local), verdict(expr.VerdictJump, chainLookup))
}

// throughHostPort matches connections whose destination was translated.
func throughHostPort() []expr.Any {
	const translated = 1 << 5 // IPS_DST_NAT (linux/netfilter/nf_conntrack_common.h)
	return []expr.Any{
		&expr.Ct{Register: unix.NFT_REG_1, Key: expr.CtKeySTATUS},
		&expr.Bitwise{SourceRegister: unix.NFT_REG_1, DestRegister: unix.NFT_REG_1, Len: 4,
			Mask: binaryutil.NativeEndian.PutUint32(translated), Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: unix.NFT_REG_1, Data: make([]byte, 4)},
	}
}

// toMulticast matches the family's multicast addresses.
func (a addresses) toMulticast() []expr.Any {
	loads, first := a.prefix(a.dst, a.multicast)
	return join(loads, equal(first))
}

func equal(data []byte) []expr.Any {
	return []expr.Any{&expr.Cmp{Op: expr.CmpOpEq, Register: unix.NFT_REG_1, Data: data}}
}

func verdict(kind expr.VerdictKind, chain string) []expr.Any {
	return []expr.Any{&expr.Verdict{Kind: kind, Chain: chain}}
}

func masquerade() []expr.Any { return []expr.Any{&expr.Masq{}} }
