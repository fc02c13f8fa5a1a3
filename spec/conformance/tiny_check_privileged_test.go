//go:build privileged

package conformance

import (
	"net"
	"slices"

	"github.com/vishvananda/netlink"
)

// interfaceCheck compares what prevResult lists with what is there.
func (t *tiny) interfaceCheck() error {
	if t.conf.PrevResult == nil {
		if t.is("check-needs-prevresult") {
			return nil
		}
		return tinyErrorf(7, "prevResult is missing")
	}
	if t.conf.IPAM == nil && t.is("check-without-ipam") {
		return tinyErrorf(7, "there is no IPAM plugin to CHECK")
	}
	if err := t.checkDelegate(); err != nil {
		return err
	}
	pod, _, err := t.pod()
	if err != nil {
		return err
	}
	inside, err := pod.LinkByName(t.ifname)
	if err != nil {
		if t.is("check-interface-missing") {
			return nil
		}
		return tinyErrorf(100, "%s is gone", t.ifname)
	}
	if inside.Attrs().Flags&net.FlagUp == 0 && !t.is("check-interface-down") {
		return tinyErrorf(100, "%s is down", t.ifname)
	}
	if err := t.checkListed(pod, inside); err != nil {
		return err
	}
	if err := t.checkHost(); err != nil {
		return err
	}
	if t.conf.IPMasq && !t.is("check-firewall-missing") && !hasRule(tinyMasquerade, t.owner()) {
		return tinyErrorf(100, "the masquerade rule is gone")
	}
	return nil
}

func (t *tiny) checkDelegate() error {
	if t.conf.IPAM == nil || t.is("delegate-check") || t.is("check-reservation-missing") {
		return nil
	}
	if _, err := t.delegate("CHECK"); err != nil && !t.is("delegate-check-error") {
		return err
	}
	return nil
}

// checkListed looks at the container's interface, addresses and routes.
func (t *tiny) checkListed(pod *netlink.Handle, inside netlink.Link) error {
	listed := slices.ContainsFunc(t.conf.PrevResult.Interfaces, func(i tinyIface) bool { return i.Name == t.ifname && i.Sandbox == t.netns })
	if !listed && !t.is("check-consults-interfaces") {
		return tinyErrorf(100, "prevResult does not list %s", t.ifname)
	}
	there, err := pod.AddrList(inside, netlink.FAMILY_ALL)
	if err != nil {
		return err
	}
	for _, ip := range t.conf.PrevResult.IPs {
		found := slices.ContainsFunc(there, func(a netlink.Addr) bool { return a.IPNet.String() == ip.Address })
		// The routes through a deleted address go with it.
		if !found && t.is("check-address-missing") {
			return nil
		}
		if !found && !t.is("check-consults-addresses") {
			return tinyErrorf(100, "address %s is gone", ip.Address)
		}
	}
	return t.checkRoutes(pod)
}

func (t *tiny) checkRoutes(pod *netlink.Handle) error {
	have, err := pod.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{}, netlink.RT_FILTER_TABLE)
	if err != nil {
		return err
	}
	if more, err := pod.RouteList(nil, netlink.FAMILY_V4); err == nil {
		have = append(have, more...)
	}
	wanted := t.conf.PrevResult.Routes
	if t.is("check-tolerates-moved-route") {
		wanted = tinyRoutes
	}
	if t.is("check-tolerates-added-route") && len(have) != len(tinyRoutes)+1 {
		return tinyErrorf(100, "there are %d routes", len(have))
	}
	for _, listed := range wanted {
		found := slices.ContainsFunc(have, func(r netlink.Route) bool {
			return r.Dst != nil && r.Dst.String() == listed.Dst || r.Dst == nil && listed.Dst == "0.0.0.0/0"
		})
		if !found && !t.is("check-route-missing") && !t.is("check-interface-down") {
			return tinyErrorf(100, "route %s is gone", listed.Dst)
		}
	}
	return nil
}

// checkHost looks at the interfaces that prevResult lists on the host.
func (t *tiny) checkHost() error {
	for _, i := range t.conf.PrevResult.Interfaces {
		if i.Sandbox != "" {
			continue
		}
		l, err := netlink.LinkByName(i.Name)
		if err != nil && t.is("check-host-interface-missing") {
			continue
		}
		if err != nil {
			return tinyErrorf(100, "%s is gone", i.Name)
		}
		if l.Attrs().Flags&net.FlagUp == 0 && !t.is("check-host-interface-down") {
			return tinyErrorf(100, "%s is down", i.Name)
		}
	}
	return nil
}
