package filter

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Translation is decided by a connection's first packet and kept for its life.
// A client that goes on sending, as UDP clients do, would for ever reach
// whatever the host port led to before; its connection has to be forgotten when
// the mapping changes.

// A flow is the connections through one host port.
type flow struct {
	HostPort
	gone bool // the mapping was removed: those that lead to the pod are stale
}

// The attributes of conntrack messages (linux/netfilter/nfnetlink_conntrack.h).
const (
	ctaTupleOrig  = 1
	ctaTupleReply = 2
	ctaZone       = 18
	ctaFilter     = 25

	ctaTupleIP    = 1
	ctaTupleProto = 2

	ctaIPv4Src, ctaIPv4Dst = 1, 2
	ctaIPv6Src, ctaIPv6Dst = 3, 4

	ctaProtoNum, ctaProtoSrc, ctaProtoDst = 1, 2, 3

	ctaFilterOrig, ctaFilterReply = 1, 2
	// What of a tuple to compare.
	bySource, byDestination, byProtocol, bySourcePort, byDestinationPort = 1 << 0, 1 << 1, 1 << 3, 1 << 4, 1 << 5

	ctGet, ctDelete = 1, 2
)

// forget deletes connections that the mappings' change made stale. The mappings
// are committed already, so no new connection can become one.
func (c *Conn) forget(flows []flow) (err error) {
	if len(flows) == 0 {
		return nil
	}
	t := &tracker{Conn: c, flows: len(flows), lists: map[string][]connection{}}
	defer func() { err = errors.Join(err, t.close()) }()
	for _, f := range flows {
		if err := t.forgetFlow(f); err != nil {
			err = fmt.Errorf("forget connections to host port %s/%d: %w", f.Protocol, f.HostPort.HostPort, err)
			return errors.Join(err, c.redial())
		}
	}
	return nil
}

// A tracker talks to connection tracking, over the packet filter's socket: both
// are subsystems of one netlink protocol.
type tracker struct {
	*Conn
	flows int                     // how many are to be forgotten
	host  *host                   // nil until asked
	lists map[string][]connection // answers, by what was asked
}

func (t *tracker) forgetFlow(f flow) error {
	if done, err := t.flush(f); done || err != nil {
		return err
	}
	connections, err := t.list(f)
	if err != nil {
		return err
	}
	for _, c := range connections {
		stale, err := t.stale(f, c)
		if err != nil {
			return err
		}
		if !stale {
			continue
		}
		request := conntrack(f.Family(), ctDelete, netlink.Acknowledge, c.id...)
		err = t.exchange([]netlink.Message{request}, func(a answer) (bool, error) { return true, a.err })
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return err
		}
	}
	return nil
}

// stale tells whether the connection went another way than the mapping now says.
func (t *tracker) stale(f flow, c connection) (bool, error) {
	if c.orig.protocol != f.Protocol || c.orig.dst.Port() != f.HostPort.HostPort {
		return false, nil // a kernel before 5.8 does not filter
	}
	pod := netip.AddrPortFrom(f.Pod.Addr().Unmap(), f.Pod.Port())
	if f.gone {
		return c.reply.src == pod, nil
	}
	if c.reply.src == pod {
		return false, nil
	}
	// A TCP connection to the host itself is somebody's session, and ends by itself.
	if c.reply.src == c.orig.dst && f.Protocol != UDP {
		return false, nil
	}
	if f.bound() {
		return c.orig.dst.Addr() == f.HostIP.Unmap(), nil
	}
	node, err := t.node()
	if err != nil {
		return false, err
	}
	return node.isLocal(c.orig.dst.Addr())
}

// A connection as conntrack lists it.
type connection struct {
	orig, reply tuple
	id          []netlink.Attribute // what a deletion names it by
}

type tuple struct {
	protocol Protocol
	src, dst netip.AddrPort
}

// list reads the connections that may be stale. The kernel walks its whole
// table for it, milliseconds with the usual 262,144 buckets, so it filters and we
// ask once for all ports of a pod.
func (t *tracker) list(f flow) ([]connection, error) {
	request := conntrack(f.Family(), ctGet, netlink.Dump, f.filter(t.flows > 1)...)
	if known, ok := t.lists[string(request.Data)]; ok {
		return known, nil
	}
	objects, err := t.steady(request)
	if err != nil {
		return nil, err
	}
	var all []connection
	for _, object := range objects {
		c, err := decodeConnection(object)
		if err != nil {
			return nil, fmt.Errorf("decode a connection: %w", err)
		}
		all = append(all, c)
	}
	t.lists[string(request.Data)] = all
	return all, nil
}

// filter selects connections to the host port, or with several to any port; of a
// mapping that is gone, those that the pod answers. Linux compares IPv6 addresses
// the wrong way round here (ctnetlink_filter_match_tuple, at least until 6.18), so
// that IPv6 goes by the port in either case.
func (f flow) filter(several bool) []netlink.Attribute {
	if f.gone && f.Family() == IPv4 {
		return []netlink.Attribute{nested(ctaTupleReply, addressed(ctaIPv4Src, f.Pod.Addr())), compared(map[uint16]uint32{ctaFilterReply: bySource})}
	}
	what, port := uint32(byProtocol|byDestinationPort), f.HostPort.HostPort
	if several {
		what, port = byProtocol, 0 // the same question for each
	}
	return []netlink.Attribute{
		nested(ctaTupleOrig, f.protocolAnd(ctaProtoDst, port)),
		compared(map[uint16]uint32{ctaFilterOrig: what}),
	}
}

// conntrack is a message to connection tracking.
func conntrack(f Family, kind int, flags netlink.HeaderFlags, attrs ...netlink.Attribute) netlink.Message {
	all := nested(0, attrs...)
	return netlink.Message{
		Header: netlink.Header{
			Type:  netlink.HeaderType(unix.NFNL_SUBSYS_CTNETLINK<<8 | kind),
			Flags: netlink.Request | flags,
		},
		Data: append([]byte{byte(families[f]), unix.NFNETLINK_V0, 0, 0}, all.Data...),
	}
}

func decodeConnection(object []byte) (c connection, err error) {
	ad, err := netlink.NewAttributeDecoder(object)
	if err != nil {
		return c, err
	}
	for ad.Next() {
		switch ad.Type() {
		case ctaTupleOrig:
			ad.Nested(decodeTuple(&c.orig))
			c.id = append(c.id, netlink.Attribute{Type: ctaTupleOrig | netlink.Nested, Data: ad.Bytes()})
		case ctaTupleReply:
			ad.Nested(decodeTuple(&c.reply))
		case ctaZone:
			c.id = append(c.id, netlink.Attribute{Type: ctaZone, Data: ad.Bytes()})
		}
	}
	return c, ad.Err()
}

// decodeTuple reads one direction of a connection.
func decodeTuple(to *tuple) func(*netlink.AttributeDecoder) error {
	return func(ad *netlink.AttributeDecoder) error {
		var src, dst netip.Addr
		var srcPort, dstPort uint16
		for ad.Next() {
			switch ad.Type() {
			case ctaTupleIP:
				ad.Nested(func(ip *netlink.AttributeDecoder) error {
					for ip.Next() {
						addr, _ := netip.AddrFromSlice(ip.Bytes()) // another length is no address, the zero one
						switch ip.Type() {
						case ctaIPv4Src, ctaIPv6Src:
							src = addr
						case ctaIPv4Dst, ctaIPv6Dst:
							dst = addr
						}
					}
					return nil
				})
			case ctaTupleProto:
				ad.Nested(func(proto *netlink.AttributeDecoder) error {
					proto.ByteOrder = binary.BigEndian
					for proto.Next() {
						switch proto.Type() {
						case ctaProtoNum:
							to.protocol = Protocol(proto.Uint8())
						case ctaProtoSrc:
							srcPort = proto.Uint16()
						case ctaProtoDst:
							dstPort = proto.Uint16()
						}
					}
					return nil
				})
			}
		}
		to.src, to.dst = netip.AddrPortFrom(src, srcPort), netip.AddrPortFrom(dst, dstPort)
		return nil
	}
}

// remember notes that connections through a removed host port are to be
// forgotten, from the element's key and value.
func (b *batch) remember(e element, value []byte) error {
	if l, _ := layoutOf(e.family, e.set); l.value == nil {
		return nil
	}
	fields := strings.Split(e.key, " . ")
	protocol, err := ParseProtocol(fields[0])
	if err != nil {
		return err
	}
	port, err := strconv.ParseUint(fields[len(fields)-1], 10, 16)
	if err != nil {
		return err
	}
	size := len(value) - 4 // the port fills a register of its own
	pod, ok := netip.AddrFromSlice(value[:max(size, 0)])
	if !ok {
		return fmt.Errorf("%s { %s } leads to %x, which is no address", e.set, e.key, value)
	}
	b.flows = append(b.flows, flow{gone: true, HostPort: HostPort{
		Protocol: protocol, HostPort: uint16(port), Pod: netip.AddrPortFrom(pod, binary.BigEndian.Uint16(value[size:])),
	}})
	return nil
}
