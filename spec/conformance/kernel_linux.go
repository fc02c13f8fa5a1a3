package conformance

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// The functions here act on the network namespace of the calling thread.

// links returns the interfaces (ip link).
func links() ([]link, error) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	all := make([]link, 0, len(interfaces))
	for _, i := range interfaces {
		all = append(all, link{i.Index, i.Name, i.HardwareAddr.String(), i.MTU, i.Flags&net.FlagUp != 0})
	}
	return all, nil
}

// addresses returns what ip addr shows.
func addresses() ([]address, error) {
	replies, err := exchange(unix.NETLINK_ROUTE, message{unix.RTM_GETADDR, unix.NLM_F_DUMP, make([]byte, unix.SizeofIfAddrmsg)})
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	var all []address
	for _, r := range replies {
		if r.kind != unix.RTM_NEWADDR || len(r.body) < unix.SizeofIfAddrmsg {
			continue
		}
		attrs := attributes(r.body[unix.SizeofIfAddrmsg:])
		raw := attrs[unix.IFA_LOCAL] // IFA_ADDRESS is the peer's on point-to-point links
		if raw == nil {
			raw = attrs[unix.IFA_ADDRESS]
		}
		if ip, ok := netip.AddrFromSlice(raw); ok {
			all = append(all, address{int(binary.NativeEndian.Uint32(r.body[4:])), netip.PrefixFrom(ip, int(r.body[1]))})
		}
	}
	return all, nil
}

// routes returns the unicast routes of all tables (ip route show table all).
func routes() ([]route, error) {
	replies, err := exchange(unix.NETLINK_ROUTE, message{unix.RTM_GETROUTE, unix.NLM_F_DUMP, make([]byte, unix.SizeofRtMsg)})
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	var all []route
	for _, r := range replies {
		if r.kind == unix.RTM_NEWROUTE && len(r.body) >= unix.SizeofRtMsg && r.body[7] == unix.RTN_UNICAST {
			all = append(all, decodeRoute(r.body))
		}
	}
	return all, nil
}

// decodeRoute reads struct rtmsg (rtnetlink(7)) and its attributes.
func decodeRoute(body []byte) route {
	attrs := attributes(body[unix.SizeofRtMsg:])
	metrics := attributes(attrs[unix.RTA_METRICS])
	dst, ok := netip.AddrFromSlice(attrs[unix.RTA_DST])
	if !ok { // the default route has no destination
		dst = netip.IPv4Unspecified()
		if body[0] == unix.AF_INET6 {
			dst = netip.IPv6Unspecified()
		}
	}
	gateway, _ := netip.AddrFromSlice(attrs[unix.RTA_GATEWAY]) // absent means on-link
	return route{
		Dst:      netip.PrefixFrom(dst, int(body[1])),
		Gateway:  gateway,
		Link:     int(number(attrs[unix.RTA_OIF])),
		Table:    int(number(attrs[unix.RTA_TABLE])),
		Priority: int(number(attrs[unix.RTA_PRIORITY])),
		Scope:    int(body[6]),
		MTU:      int(number(metrics[unix.RTAX_MTU])),
		AdvMSS:   int(number(metrics[unix.RTAX_ADVMSS])),
		Kernel:   body[5] == unix.RTPROT_KERNEL,
	}
}

// setLinkUp is ip link set NAME up.
func setLinkUp(name string) error { return setFlags(name, unix.IFF_UP) }

// setLinkDown is ip link set NAME down.
func setLinkDown(name string) error { return setFlags(name, 0) }

func setFlags(name string, flags uint32) error {
	m, err := linkMessage(unix.RTM_NEWLINK, name)
	if err != nil {
		return err
	}
	binary.NativeEndian.PutUint32(m.body[8:], flags)
	binary.NativeEndian.PutUint32(m.body[12:], unix.IFF_UP)
	if _, err := exchange(unix.NETLINK_ROUTE, m); err != nil {
		return fmt.Errorf("set link %s up or down: %w", name, err)
	}
	return nil
}

// deleteLink is ip link del NAME.
func deleteLink(name string) error {
	m, err := linkMessage(unix.RTM_DELLINK, name)
	if err != nil {
		return err
	}
	if _, err := exchange(unix.NETLINK_ROUTE, m); err != nil {
		return fmt.Errorf("delete link %s: %w", name, err)
	}
	return nil
}

// linkMessage starts with struct ifinfomsg.
func linkMessage(kind uint16, name string) (message, error) {
	i, err := net.InterfaceByName(name)
	if err != nil {
		return message{}, fmt.Errorf("find link %s: %w", name, err)
	}
	m := message{kind, unix.NLM_F_ACK, make([]byte, unix.SizeofIfInfomsg)}
	binary.NativeEndian.PutUint32(m.body[4:], uint32(i.Index))
	return m, nil
}

// deleteAddress is ip addr del PREFIX dev LINK.
func deleteAddress(a address) error {
	m := message{unix.RTM_DELADDR, unix.NLM_F_ACK, make([]byte, unix.SizeofIfAddrmsg)}
	m.body[0], m.body[1] = family(a.Prefix.Addr()), byte(a.Prefix.Bits())
	binary.NativeEndian.PutUint32(m.body[4:], uint32(a.Link))
	if _, err := exchange(unix.NETLINK_ROUTE, m.attribute(unix.IFA_LOCAL, a.Prefix.Addr().AsSlice())); err != nil {
		return fmt.Errorf("delete address %s: %w", a.Prefix, err)
	}
	return nil
}

// addRoute is ip route add.
func addRoute(r route) error {
	m := routeMessage(unix.RTM_NEWROUTE, r)
	m.flags |= unix.NLM_F_CREATE | unix.NLM_F_EXCL
	if _, err := exchange(unix.NETLINK_ROUTE, m); err != nil {
		return fmt.Errorf("add route %s: %w", r.Dst, err)
	}
	return nil
}

// deleteRoute is ip route del.
func deleteRoute(r route) error {
	if _, err := exchange(unix.NETLINK_ROUTE, routeMessage(unix.RTM_DELROUTE, r)); err != nil {
		return fmt.Errorf("delete route %s: %w", r.Dst, err)
	}
	return nil
}

// routeMessage starts with struct rtmsg.
func routeMessage(kind uint16, r route) message {
	m := message{kind, unix.NLM_F_ACK, make([]byte, unix.SizeofRtMsg)}
	m.body[0], m.body[1] = family(r.Dst.Addr()), byte(r.Dst.Bits())
	m.body[6] = byte(r.Scope)
	if kind == unix.RTM_NEWROUTE {
		m.body[5], m.body[7] = unix.RTPROT_STATIC, unix.RTN_UNICAST
	}
	m = m.attribute(unix.RTA_DST, r.Dst.Addr().AsSlice()).uint32(unix.RTA_OIF, uint32(r.Link)).uint32(unix.RTA_TABLE, uint32(r.Table))
	if r.Gateway.IsValid() {
		m = m.attribute(unix.RTA_GATEWAY, r.Gateway.AsSlice())
	}
	if r.Priority != 0 {
		m = m.uint32(unix.RTA_PRIORITY, uint32(r.Priority))
	}
	return m
}

func family(ip netip.Addr) byte {
	if ip.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}
