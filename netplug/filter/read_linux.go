package filter

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/userdata"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/mascri/mascri/netplug/dump"
)

// A query asks the kernel for one object, or with list for all of a kind.
type query struct {
	kind   int // NFT_MSG_GET*
	family Family
	attrs  []netlink.Attribute
}

// families are the numbers of the families in nfgenmsg (linux/netfilter.h).
var families = map[Family]nftables.TableFamily{
	IPv4: nftables.TableFamilyIPv4, IPv6: nftables.TableFamilyIPv6, Bridge: nftables.TableFamilyBridge,
	inet: nftables.TableFamilyINet,
}

// inet is a family that others have tables in.
const inet Family = "inet"

// message is the query on the wire.
func (q query) message(flags netlink.HeaderFlags) (netlink.Message, error) {
	attrs, err := netlink.MarshalAttributes(q.attrs)
	return netlink.Message{
		Header: netlink.Header{
			Type:  netlink.HeaderType(unix.NFNL_SUBSYS_NFTABLES<<8 | q.kind),
			Flags: netlink.Request | flags,
		},
		Data: append([]byte{byte(families[q.family]), unix.NFNETLINK_V0, 0, 0}, attrs...),
	}, err
}

// ask sends the queries together, so that they cost one round trip, and returns
// the attributes of each object; nil where there is none.
func (c *Conn) ask(queries ...query) (objects [][]byte, err error) {
	for some := range slices.Chunk(queries, askAtOnce) {
		answers, err := c.askSome(some)
		if err != nil {
			return nil, err
		}
		objects = append(objects, answers...)
	}
	return objects, nil
}

// askAtOnce is how many answers fit into a socket's receive buffer for certain.
const askAtOnce = 64

func (c *Conn) askSome(queries []query) (objects [][]byte, err error) {
	var messages []netlink.Message
	for _, q := range queries {
		m, err := q.message(0)
		if err != nil {
			return nil, err
		}
		messages = append(messages, m)
	}
	// Without NLM_F_ACK each query has one answer: the object, or an error.
	err = c.exchange(messages, func(a answer) (bool, error) {
		if a.err != nil && !errors.Is(a.err, unix.ENOENT) {
			return true, a.err
		}
		objects = append(objects, a.object)
		return len(objects) == len(queries), nil
	})
	return objects, err
}

// list reads all objects of a kind. A dump that a concurrent change interrupted
// is incomplete, so it starts again; it is never taken for the whole.
func (c *Conn) list(q query) ([][]byte, error) {
	m, err := q.message(netlink.Dump)
	if err != nil {
		return nil, err
	}
	return c.steady(m)
}

func (c *Conn) steady(m netlink.Message) ([][]byte, error) {
	return dump.Whole(func() ([][]byte, error) { return subsystem{c.socket, nfgenmsg}.dump(m) })
}

// dump reads once, to the end in any case, so that nothing of it is left for
// the next request.
func (s subsystem) dump(m netlink.Message) ([][]byte, error) {
	var d dumped
	if err := s.exchange([]netlink.Message{m}, d.take); err != nil {
		return nil, err
	}
	return d.outcome()
}

// A dumped is a dump as far as it was read.
type dumped struct {
	objects [][]byte
	failed  error
}

func (d *dumped) take(a answer) (last bool, err error) {
	if a.err != nil {
		d.failed = a.err
	}
	if a.object != nil {
		d.objects = append(d.objects, a.object)
	}
	return a.done, nil
}

// outcome is what was listed. EINTR means that it would be inconsistent; that
// what was to be listed does not exist is no error.
func (d *dumped) outcome() ([][]byte, error) {
	switch {
	case errors.Is(d.failed, unix.ENOENT):
		return nil, nil
	case d.failed != nil:
		return nil, d.failed
	}
	return d.objects, nil
}

// name is a zero-terminated string attribute.
func name(kind uint16, value string) netlink.Attribute {
	return netlink.Attribute{Type: kind, Data: append([]byte(value), 0)}
}

// chainQuery asks for one chain.
func chainQuery(f Family, table, chain string) query {
	return query{unix.NFT_MSG_GETCHAIN, f, []netlink.Attribute{
		name(unix.NFTA_CHAIN_TABLE, table), name(unix.NFTA_CHAIN_NAME, chain)}}
}

// ruleQuery asks for the rules of one chain.
func ruleQuery(f Family, table, chain string) query {
	return query{unix.NFT_MSG_GETRULE, f, []netlink.Attribute{
		name(unix.NFTA_RULE_TABLE, table), name(unix.NFTA_RULE_CHAIN, chain)}}
}

// elementsQuery asks for all elements of a set or map of ours.
func elementsQuery(f Family, set string) query {
	return query{unix.NFT_MSG_GETSETELEM, f, []netlink.Attribute{
		name(unix.NFTA_SET_ELEM_LIST_TABLE, Table), name(unix.NFTA_SET_ELEM_LIST_SET, set)}}
}

// elementQuery asks for one element by its key.
func elementQuery(f Family, set string, want nftables.SetElement) (query, error) {
	fields := []netlink.Attribute{nested(unix.NFTA_SET_ELEM_KEY, netlink.Attribute{Type: unix.NFTA_DATA_VALUE, Data: want.Key})}
	if want.KeyEnd != nil {
		fields = append(fields, nested(nftables.NFTA_SET_ELEM_KEY_END, netlink.Attribute{Type: unix.NFTA_DATA_VALUE, Data: want.KeyEnd}))
	}
	if want.IntervalEnd {
		flags := binary.BigEndian.AppendUint32(nil, unix.NFT_SET_ELEM_INTERVAL_END)
		fields = append(fields, netlink.Attribute{Type: unix.NFTA_SET_ELEM_FLAGS, Data: flags})
	}
	q := elementsQuery(f, set)
	q.attrs = append(q.attrs, nested(unix.NFTA_SET_ELEM_LIST_ELEMENTS, nested(unix.NFTA_LIST_ELEM, fields...)))
	for _, a := range q.attrs {
		if a.Data == nil {
			return q, fmt.Errorf("encode the query for an element of %s", set)
		}
	}
	return q, nil
}

// nested is an attribute made of attributes; nil data means they do not fit.
func nested(kind uint16, attrs ...netlink.Attribute) netlink.Attribute {
	data, err := netlink.MarshalAttributes(attrs)
	if err != nil {
		data = nil
	}
	return netlink.Attribute{Type: kind | netlink.Nested, Data: data}
}

// decodeElements reads the elements of one answer.
func decodeElements(object []byte) (elements []nftables.SetElement, err error) {
	ad, err := netlink.NewAttributeDecoder(object)
	if err != nil {
		return nil, err
	}
	for ad.Next() {
		if ad.Type() != unix.NFTA_SET_ELEM_LIST_ELEMENTS {
			continue
		}
		ad.Nested(func(list *netlink.AttributeDecoder) error {
			for list.Next() {
				var e nftables.SetElement
				list.Nested(func(fields *netlink.AttributeDecoder) error { return decodeElement(fields, &e) })
				elements = append(elements, e)
			}
			return nil
		})
	}
	return elements, ad.Err()
}

// decodeElement reads the parts of an element that ours have.
func decodeElement(fields *netlink.AttributeDecoder, e *nftables.SetElement) error {
	fields.ByteOrder = binary.BigEndian
	for fields.Next() {
		switch fields.Type() {
		case unix.NFTA_SET_ELEM_KEY:
			fields.Nested(decodeData(&e.Key))
		case nftables.NFTA_SET_ELEM_KEY_END:
			fields.Nested(decodeData(&e.KeyEnd))
		case unix.NFTA_SET_ELEM_DATA:
			fields.Nested(decodeData(&e.Val))
		case unix.NFTA_SET_ELEM_FLAGS:
			e.IntervalEnd = fields.Uint32()&unix.NFT_SET_ELEM_INTERVAL_END != 0
		case unix.NFTA_SET_ELEM_USERDATA:
			e.Comment = comment(fields.Bytes(), userdata.NFTNL_UDATA_SET_ELEM_COMMENT)
		}
	}
	return nil
}

// decodeData reads a key or value.
func decodeData(to *[]byte) func(*netlink.AttributeDecoder) error {
	return func(ad *netlink.AttributeDecoder) error {
		for ad.Next() {
			if ad.Type() == unix.NFTA_DATA_VALUE {
				*to = ad.Bytes()
			}
		}
		return nil
	}
}

// comment reads the comment from user data: type, length, value, as libnftnl
// packs them. Somebody else may have written it, so nothing is taken on trust.
func comment(data []byte, kind userdata.Type) string {
	for len(data) >= 2 && len(data) >= 2+int(data[1]) {
		value := data[2 : 2+int(data[1])]
		if userdata.Type(data[0]) == kind {
			for i, b := range value {
				if b == 0 {
					return string(value[:i])
				}
			}
			return string(value)
		}
		data = data[2+len(value):]
	}
	return ""
}
