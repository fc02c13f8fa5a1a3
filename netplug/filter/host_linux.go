package filter

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// host answers what addresses the namespace has, over a socket to routing.
type host struct {
	socket    *netlink.Conn
	addresses map[netip.Addr]bool // nil until listed
	local     map[netip.Addr]bool // answers
}

// node opens the socket when it is first needed.
func (t *tracker) node() (*host, error) {
	if t.host == nil {
		socket, err := netlink.Dial(unix.NETLINK_ROUTE, &netlink.Config{NetNS: int(t.netns.Fd())})
		if err != nil {
			return nil, fmt.Errorf("open a netlink socket to routing: %w", err)
		}
		t.host = &host{socket: socket, local: map[netip.Addr]bool{}}
	}
	return t.host, nil
}

func (t *tracker) close() error {
	if t.host == nil {
		return nil
	}
	return t.host.socket.Close()
}

// isLocal tells whether an address is the host's. Connections of pods to the
// same port of other machines are none of ours: port 53, for one. Routing is
// asked about the one address, as the packet filter does (fib daddr type local):
// on a node that has thousands, and changes them all the time, that is certain,
// and a list of all is not.
func (h *host) isLocal(addr netip.Addr) (bool, error) {
	if addr.IsLoopback() {
		return true, nil
	}
	if local, ok := h.local[addr]; ok {
		return local, nil
	}
	local, err := h.route(addr)
	if err != nil {
		return false, fmt.Errorf("look up whether %s is the host's: %w", addr, err)
	}
	h.local[addr] = local
	return local, nil
}

// The fields of struct rtmsg (linux/rtnetlink.h).
const (
	rtmFamily = 0
	rtmDstLen = 1
	rtmType   = 7
)

// route asks which kind of route leads there. Where there is none, the address
// is not the host's.
func (h *host) route(addr netip.Addr) (local bool, err error) {
	header := make([]byte, unix.SizeofRtMsg)
	header[rtmFamily], header[rtmDstLen] = unix.AF_INET6, byte(addr.BitLen())
	if addr.Is4() {
		header[rtmFamily] = unix.AF_INET
	}
	destination, err := netlink.MarshalAttributes([]netlink.Attribute{{Type: unix.RTA_DST, Data: addr.AsSlice()}})
	if err != nil {
		return false, err
	}
	request := netlink.Message{
		Header: netlink.Header{Type: unix.RTM_GETROUTE, Flags: netlink.Request}, Data: append(header, destination...),
	}
	err = subsystem{h.socket, unix.SizeofRtMsg}.exchange([]netlink.Message{request}, func(a answer) (bool, error) {
		local = a.header != nil && a.header[rtmType] == unix.RTN_LOCAL
		return true, a.err
	})
	if errors.Is(err, unix.ENETUNREACH) || errors.Is(err, unix.EHOSTUNREACH) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.EINVAL) {
		return false, nil // no route, an unreachable, prohibited or blackhole one (fib_props in net/ipv4/fib_semantics.c)
	}
	return local, err
}

// list reads the addresses of the namespace's interfaces. It is EINTR where a
// change interrupted that.
func (h *host) list() (map[netip.Addr]bool, error) {
	if h.addresses != nil {
		return h.addresses, nil
	}
	objects, err := subsystem{h.socket, unix.SizeofIfAddrmsg}.dump(netlink.Message{
		Header: netlink.Header{Type: unix.RTM_GETADDR, Flags: netlink.Request | netlink.Dump},
		Data:   make([]byte, unix.SizeofIfAddrmsg),
	})
	if err != nil {
		return nil, fmt.Errorf("list the host's addresses: %w", err)
	}
	all := map[netip.Addr]bool{}
	for _, object := range objects {
		ad, err := netlink.NewAttributeDecoder(object)
		if err != nil {
			return nil, err
		}
		for ad.Next() {
			// On a point-to-point link IFA_ADDRESS is the peer's; counting that one
			// as ours forgets a connection too many, which costs nothing.
			if addr, ok := netip.AddrFromSlice(ad.Bytes()); ok && (ad.Type() == unix.IFA_LOCAL || ad.Type() == unix.IFA_ADDRESS) {
				all[addr] = true
			}
		}
		if err := ad.Err(); err != nil {
			return nil, err
		}
	}
	h.addresses = all
	return all, nil
}
