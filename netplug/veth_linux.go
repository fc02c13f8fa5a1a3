package netplug

import (
	"errors"
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Apply sends the message that this whole repository leads to. Both ends are
// born where they belong: the host's end in this namespace and on the bridge,
// the pod's end in the pod's namespace and with its final name. So there is no
// moment at which a kill leaves half a pair, or an end in the wrong place.
func (s Veth) Apply(k *kernel) error {
	bridge, err := k.hostLink(s.Bridge)
	if err != nil {
		return err
	}
	message, err := s.newLink(bridge.Attrs().Index, k.podFD())
	if err != nil {
		return err
	}
	if _, err := k.request(message, 0); err != nil {
		return fmt.Errorf("create veth pair %s (port of %s) and %s in %s: %w", s.Host, s.Bridge, s.IfName, s.Netns, err)
	}
	host, err := k.hostLink(s.Host)
	if err != nil {
		return err
	}
	// The kernel takes an alias only from a link that exists already.
	if err := k.host.LinkSetAlias(host, s.Alias); err != nil {
		return fmt.Errorf("set alias of %s: %w", s.Host, err)
	}
	if err := setSysctl(acceptRA(s.Host), "0"); err != nil && !errors.Is(err, errNoIPv6) {
		return err
	}
	return nil
}

// newLink composes RTM_NEWLINK (rtnetlink(7); net/core/rtnetlink.c,
// rtnl_newlink; the peer's part is read by veth_newlink in drivers/net/veth.c):
//
//	ifinfomsg            the host's end, IFF_UP
//	IFLA_IFNAME          its name
//	IFLA_MTU             its MTU
//	IFLA_MASTER          the bridge's index
//	IFLA_LINKINFO
//	  IFLA_INFO_KIND     "veth"
//	  IFLA_INFO_DATA
//	    VETH_INFO_PEER   ifinfomsg and attributes of the pod's end,
//	                     IFLA_NET_NS_FD among them
func (s Veth) newLink(bridge, podFD int) (*nl.NetlinkRequest, error) {
	req := nl.NewNetlinkRequest(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL|unix.NLM_F_ACK)
	host := nl.NewIfInfomsg(unix.AF_UNSPEC)
	host.Flags, host.Change = unix.IFF_UP, unix.IFF_UP
	req.AddData(host)
	req.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(s.Host)))
	if s.MTU != 0 {
		req.AddData(nl.NewRtAttr(unix.IFLA_MTU, nl.Uint32Attr(uint32(s.MTU))))
	}
	req.AddData(nl.NewRtAttr(unix.IFLA_MASTER, nl.Uint32Attr(uint32(bridge))))

	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated("veth"))
	peer := info.AddRtAttr(nl.IFLA_INFO_DATA, nil).AddRtAttr(nl.VETH_INFO_PEER, nil)
	nl.NewIfInfomsgChild(peer, unix.AF_UNSPEC)
	peer.AddRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(s.IfName))
	if s.MTU != 0 {
		peer.AddRtAttr(unix.IFLA_MTU, nl.Uint32Attr(uint32(s.MTU)))
	}
	if s.MAC != "" {
		mac, err := net.ParseMAC(s.MAC)
		if err != nil {
			return nil, fmt.Errorf("MAC of %s: %w", s.IfName, err)
		}
		peer.AddRtAttr(unix.IFLA_ADDRESS, mac)
	}
	peer.AddRtAttr(unix.IFLA_NET_NS_FD, nl.Uint32Attr(uint32(podFD)))
	req.AddData(info)
	return req, nil
}

// Check looks at both ends: that they are each other's, up, and on the bridge.
func (s Veth) Check(k *kernel) error {
	host, err := k.hostLink(s.Host)
	if err != nil {
		return err
	}
	bridge, err := k.hostLink(s.Bridge)
	if err != nil {
		return err
	}
	pod, err := k.podLink(s.IfName)
	if err != nil {
		return err
	}
	h, p := host.Attrs(), pod.Attrs()
	switch {
	case host.Type() != "veth" || pod.Type() != "veth":
		return fmt.Errorf("%s is a %s and %s in the pod a %s, expected a veth pair", s.Host, host.Type(), s.IfName, pod.Type())
	case h.ParentIndex != p.Index || p.ParentIndex != h.Index:
		return fmt.Errorf("%s is not the peer of %s in the pod", s.Host, s.IfName)
	case h.MasterIndex != bridge.Attrs().Index:
		return fmt.Errorf("%s is not a port of bridge %s", s.Host, s.Bridge)
	case h.Flags&net.FlagUp == 0:
		return fmt.Errorf("%s is down", s.Host)
	case s.MAC != "" && p.HardwareAddr.String() != s.MAC:
		return fmt.Errorf("%s in the pod has MAC %s, expected %s", s.IfName, p.HardwareAddr, s.MAC)
	}
	return s.checkMTU(h, p)
}

func (s Veth) checkMTU(host, pod *netlink.LinkAttrs) error {
	if s.MTU == 0 {
		return nil
	}
	for _, end := range []*netlink.LinkAttrs{host, pod} {
		if end.MTU != s.MTU {
			return fmt.Errorf("%s has MTU %d, expected %d", end.Name, end.MTU, s.MTU)
		}
	}
	return nil
}
