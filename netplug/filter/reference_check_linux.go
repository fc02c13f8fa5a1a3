package filter

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
	"golang.org/x/sys/unix"
)

// ReferencePorts are host ports of one attachment that the reference portmap
// plugin may have made, before the node was switched.
type ReferencePorts struct {
	Ports      []HostPort
	Masquerade bool // pods reach themselves through them (snat)
}

// Check follows a packet for each port through the reference's chains, those of
// its nftables backend or of iptables-nft. present tells whether it has any
// chain or rule of the attachment at all.
func (p ReferencePorts) Check(c *Conn) (present bool, err error) {
	for _, h := range p.Ports {
		here, err := p.follow(c, h)
		if err != nil {
			return true, fmt.Errorf("host port %s/%d, made by the reference plugin: %w", h.Protocol, h.HostPort, err)
		}
		if !here {
			return false, nil
		}
	}
	return len(p.Ports) > 0, nil
}

// follow looks where the reference's rules lead one port.
func (p ReferencePorts) follow(c *Conn, h HostPort) (present bool, err error) {
	w := walk{conn: c, family: h.Family(), table: "cni_hostport"}
	mine := func(r rule) bool { return r.comment == h.Owner.ContainerID }
	rules := append(w.rules("hostip_hostports"), w.rules("hostports")...)
	if w.err != nil || slices.ContainsFunc(rules, mine) {
		w.needJumps("prerouting", "hostports_all", "hostports")
		w.needFirst(rules, h, mine)
		if p.Masquerade {
			w.need("masquerading", func(r rule) bool { return mine(r) && hasMasquerade(r) })
		}
		return true, w.err
	}
	w.table = "nat"
	chain := referenceChain("CNI-DN-", h.Owner)
	rules = w.rules(chain)
	if w.err != nil || len(rules) > 0 {
		w.needJumps("PREROUTING", "CNI-HOSTPORT-DNAT", chain)
		w.needFirst(rules, h, func(rule) bool { return true })
		if p.Masquerade {
			w.needJumps(chain, "CNI-HOSTPORT-SETMARK")
			w.needJumps("POSTROUTING", "CNI-HOSTPORT-MASQ")
		}
		return true, w.err
	}
	return false, nil
}

// A walk reads the chains of a table, up to the first thing that is missing.
type walk struct {
	conn   *Conn
	family Family
	table  string
	err    error
}

func (w *walk) rules(chain string) []rule {
	if w.err != nil {
		return nil
	}
	var rules []rule
	rules, w.err = w.conn.rules(w.family, w.table, chain)
	return rules
}

// need wants such a rule in the chain.
func (w *walk) need(chain string, is func(rule) bool) {
	if rules := w.rules(chain); w.err == nil && !slices.ContainsFunc(rules, is) {
		w.err = fmt.Errorf("chain %s %s %s lacks a rule", w.family, w.table, chain)
	}
}

// needJumps wants each chain to lead to the next.
func (w *walk) needJumps(chains ...string) {
	for i, chain := range chains[:len(chains)-1] {
		w.need(chain, func(r rule) bool { return r.jumpsTo(chains[i+1]) })
	}
}

// needFirst wants the first rule for the port to be the attachment's: it ends
// the packet's way.
func (w *walk) needFirst(rules []rule, h HostPort, mine func(rule) bool) {
	if w.err != nil {
		return
	}
	for _, r := range rules {
		t, ok := readTranslation(r)
		if !ok || !t.takes(h) {
			continue
		}
		if t.to != h.Pod || !mine(r) {
			w.err = fmt.Errorf("leads to %s, not to %s", t.to, h.Pod)
		}
		return
	}
	w.err = fmt.Errorf("table %s %s leads it nowhere", w.family, w.table)
}

// A translation is what a rule of the reference's does: what comes for a port of
// the host, or of one of its addresses, goes to a pod.
type translation struct {
	protocol Protocol
	hostIP   netip.Addr // invalid: any
	port     uint16
	to       netip.AddrPort
}

// takes tells whether packets for the host port meet the rule.
func (t translation) takes(h HostPort) bool {
	return t.protocol == h.Protocol && t.port == h.HostPort && (!t.hostIP.IsValid() || h.bound() && t.hostIP == h.HostIP.Unmap())
}

// readTranslation reads a rule; false where it does something else, or does it
// for some packets only.
func readTranslation(r rule) (t translation, ok bool) {
	var loaded expr.Any
	registers := map[uint32][]byte{}
	for _, e := range withoutCounters(r.exprs) {
		switch e := e.(type) {
		case *expr.Meta, *expr.Payload:
			loaded = e
		case *expr.Cmp:
			if e.Op != expr.CmpOpEq || !t.match(loaded, e.Data) {
				return t, false
			}
		case *expr.Immediate:
			registers[e.Register] = e.Data
		case *expr.NAT:
			t.to, ok = destination(registers[e.RegAddrMin], registers[e.RegProtoMin]), e.Type == expr.NATTypeDestNAT
		case *expr.Target: // iptables' DNAT
			t.to, ok = targetOf(e), e.Name == "DNAT"
		default:
			return t, false
		}
	}
	return t, ok && t.to.IsValid()
}

// match notes what a comparison of a loaded value with data asks of a packet.
func (t *translation) match(loaded expr.Any, data []byte) bool {
	switch l := loaded.(type) {
	case *expr.Meta:
		if l.Key == expr.MetaKeyL4PROTO && len(data) == 1 {
			t.protocol = Protocol(data[0])
			return true
		}
	case *expr.Payload:
		const destinationV4, destinationV6, destinationPort = 16, 24, 2 // offsets in the headers
		addr, isAddr := netip.AddrFromSlice(data)
		switch {
		case l.Base == expr.PayloadBaseTransportHeader && l.Offset == destinationPort && len(data) == 2:
			t.port = binary.BigEndian.Uint16(data)
			return true
		case l.Base == expr.PayloadBaseNetworkHeader && isAddr && (l.Offset == destinationV4 && addr.Is4() || l.Offset == destinationV6 && addr.Is6()):
			t.hostIP = addr
			return true
		}
	}
	return false
}

// destination joins an address and a port; invalid where they are none.
func destination(address, port []byte) netip.AddrPort {
	addr, ok := netip.AddrFromSlice(address)
	if !ok || len(port) != 2 {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(addr.Unmap(), binary.BigEndian.Uint16(port))
}

func targetOf(e *expr.Target) netip.AddrPort {
	info, ok := e.Info.(*xt.NatRange2)
	if !ok {
		return netip.AddrPort{}
	}
	return destination(info.MinIP, binary.BigEndian.AppendUint16(nil, info.MinPort))
}

func hasMasquerade(r rule) bool {
	return slices.ContainsFunc(r.exprs, func(e expr.Any) bool { _, ok := e.(*expr.Masq); return ok })
}

// immediate is a verdict, or data for a register.
func immediate(f Family, data []byte) (expr.Any, error) {
	value := &expr.Immediate{}
	if err := unmarshal(f, data, value); err != nil || value.Register != unix.NFT_REG_VERDICT {
		return value, err
	}
	verdict := &expr.Verdict{}
	return verdict, unmarshal(f, data, verdict)
}
