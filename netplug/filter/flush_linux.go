package filter

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// maxFlushes is how many flushes cost about as much as reading the table once.
const maxFlushes = 24

// flush deletes the connections that a mapping's change makes stale, by messages
// that say which. Told to delete, the kernel steps over empty buckets; asked to
// list, it locks each of them: 0.4 ms a message against 9 with the usual 262,144.
// It returns false where the table has to be read after all:
//
//   - Linux before 6.10 has no filter here, and refuses: it takes the tuple for a
//     connection's, which would have to be whole (ctnetlink_del_conntrack);
//   - IPv6 addresses are compared the wrong way round, see filter;
//   - the host's addresses change so fast that no list of them is whole;
//   - of a new mapping, a TCP connection to the host itself is to stay.
func (t *tracker) flush(f flow) (done bool, err error) {
	if f.Family() != IPv4 || f.Protocol != UDP && !f.gone {
		return false, nil
	}
	messages := []netlink.Message{f.flushGone()}
	if !f.gone {
		messages, err = t.flushNew(f)
		if errors.Is(err, unix.EINTR) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
	if t.flows*len(messages) > maxFlushes {
		return false, nil
	}
	for _, m := range messages {
		err := t.exchange([]netlink.Message{m}, func(a answer) (bool, error) { return true, a.err })
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
	return true, nil
}

// flushGone deletes the connections through a removed mapping to its pod.
func (f flow) flushGone() netlink.Message {
	return conntrack(f.Family(), ctDelete, netlink.Acknowledge,
		nested(ctaTupleOrig, f.protocolAnd(ctaProtoDst, f.HostPort.HostPort)),
		nested(ctaTupleReply, addressed(ctaIPv4Src, f.Pod.Addr()), f.protocolAnd(ctaProtoSrc, f.Pod.Port())),
		compared(map[uint16]uint32{
			ctaFilterOrig:  byProtocol | byDestinationPort,
			ctaFilterReply: bySource | byProtocol | bySourcePort,
		}))
}

// flushNew deletes the connections to a new mapping's port, at each address of
// the host that it is mapped at; of the loopback network, at those that lo has.
// One that leads to the pod already goes as well, and is made anew, and the same,
// by its next packet.
func (t *tracker) flushNew(f flow) (messages []netlink.Message, err error) {
	addresses := map[netip.Addr]bool{f.HostIP.Unmap(): true}
	if !f.bound() {
		node, err := t.node()
		if err != nil {
			return nil, err
		}
		if addresses, err = node.list(); err != nil {
			return nil, err
		}
	}
	for address := range addresses {
		if address.Is4() {
			messages = append(messages, conntrack(f.Family(), ctDelete, netlink.Acknowledge,
				nested(ctaTupleOrig, addressed(ctaIPv4Dst, address), f.protocolAnd(ctaProtoDst, f.HostPort.HostPort)),
				compared(map[uint16]uint32{ctaFilterOrig: byDestination | byProtocol | byDestinationPort})))
		}
	}
	return messages, nil
}

// protocolAnd is the part of a tuple with protocol and a port.
func (f flow) protocolAnd(side, port uint16) netlink.Attribute {
	return nested(ctaTupleProto,
		netlink.Attribute{Type: ctaProtoNum, Data: []byte{byte(f.Protocol)}},
		netlink.Attribute{Type: side, Data: binary.BigEndian.AppendUint16(nil, port)})
}

// addressed is the part of a tuple with an address.
func addressed(side uint16, address netip.Addr) netlink.Attribute {
	return nested(ctaTupleIP, netlink.Attribute{Type: side, Data: address.Unmap().AsSlice()})
}

// compared says what of the tuples counts.
func compared(flags map[uint16]uint32) netlink.Attribute {
	var fields []netlink.Attribute
	for direction, what := range flags {
		fields = append(fields, netlink.Attribute{Type: direction, Data: binary.NativeEndian.AppendUint32(nil, what)})
	}
	return nested(ctaFilter, fields...)
}
