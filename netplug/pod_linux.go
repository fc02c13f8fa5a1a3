package netplug

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/mascri/mascri/netplug/dump"
	"github.com/mascri/mascri/netplug/netns"
)

// Apply writes the sysctls from a thread in the pod's namespace: unlike links,
// addresses and routes they cannot be reached through a netlink socket.
func (s PodSettings) Apply(*kernel) error {
	return netns.Do(s.Netns, func() error {
		for _, kv := range s.sysctls() {
			err := setSysctl(kv[0], kv[1])
			if err != nil && (s.IPv6 || !errors.Is(err, errNoIPv6)) {
				return fmt.Errorf("in %s: %w", s.Netns, err)
			}
		}
		return nil
	})
}

// Check leaves the settings alone: they are means to what PodAddress checks,
// and the pod's own to change later.
func (s PodSettings) Check(*kernel) error { return nil }

// Apply adds the address.
func (s PodAddress) Apply(k *kernel) error {
	link, err := k.podLink(s.IfName)
	if err != nil {
		return err
	}
	if err := k.pod.AddrAdd(link, address(s.Address, s.DAD)); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("add %s to %s in %s: %w", s.Address, s.IfName, s.Netns, err)
	}
	return nil
}

// Check looks for the very address and its length.
func (s PodAddress) Check(k *kernel) error {
	link, err := k.podLink(s.IfName)
	if err != nil {
		return err
	}
	present, err := dump.Whole(func() ([]netlink.Addr, error) { return k.pod.AddrList(link, family(s.Address.Addr())) })
	if err != nil {
		return fmt.Errorf("list addresses of %s in %s: %w", s.IfName, s.Netns, err)
	}
	for _, a := range present {
		if prefix(a.IPNet) == s.Address {
			return nil
		}
	}
	return fmt.Errorf("%s in %s lacks the address %s", s.IfName, s.Netns, s.Address)
}

// Apply starts the pod's end.
func (s PodUp) Apply(k *kernel) error {
	link, err := k.podLink(s.IfName)
	if err != nil {
		return err
	}
	if err := k.pod.LinkSetUp(link); err != nil {
		return fmt.Errorf("set %s in %s up: %w", s.IfName, s.Netns, err)
	}
	return nil
}

// Check looks at the flag.
func (s PodUp) Check(k *kernel) error {
	link, err := k.podLink(s.IfName)
	if err != nil {
		return err
	}
	if link.Attrs().Flags&net.FlagUp == 0 {
		return fmt.Errorf("%s in %s is down", s.IfName, s.Netns)
	}
	return nil
}

// Apply appends the route, so that a second gateway to the same destination
// stands beside the first and does not fail.
func (s PodRoute) Apply(k *kernel) error {
	link, err := k.podLink(s.IfName)
	if err != nil {
		return err
	}
	if err := k.pod.RouteAddEcmp(s.route(link)); err != nil {
		return fmt.Errorf("add route to %s via %s in %s: %w", s.Route.Dst, s.Route.Gateway, s.Netns, err)
	}
	return nil
}

func (s PodRoute) route(link netlink.Link) *netlink.Route {
	r := &netlink.Route{
		LinkIndex: link.Attrs().Index, Dst: ipNet(s.Route.Dst),
		MTU: s.Route.MTU, AdvMSS: s.Route.AdvMSS,
		Priority: s.Route.Priority, Table: s.Route.Table, Scope: netlink.Scope(s.Route.Scope),
	}
	if s.Route.Gateway.IsValid() {
		r.Gw = s.Route.Gateway.AsSlice()
	}
	return r
}

// Check looks for a route with the same destination, gateway and table.
func (s PodRoute) Check(k *kernel) error {
	link, err := k.podLink(s.IfName)
	if err != nil {
		return err
	}
	want := s.route(link)
	mask := netlink.RT_FILTER_OIF | netlink.RT_FILTER_DST | netlink.RT_FILTER_TABLE
	if want.Table == 0 {
		want.Table = unix.RT_TABLE_MAIN
	}
	present, err := dump.Whole(func() ([]netlink.Route, error) {
		return k.pod.RouteListFiltered(family(s.Route.Dst.Addr()), want, mask)
	})
	if err != nil {
		return fmt.Errorf("list routes in %s: %w", s.Netns, err)
	}
	for _, r := range present {
		if gw, _ := netip.AddrFromSlice(r.Gw); gw.Unmap() == s.Route.Gateway {
			return nil
		}
	}
	return fmt.Errorf("%s lacks the route to %s via %s on %s", s.Netns, s.Route.Dst, s.Route.Gateway, s.IfName)
}

// carrierWait bounds the wait for the port to forward; carrierStep is the first
// pause, each further one twice as long.
const (
	carrierWait = 3 * time.Second
	carrierStep = time.Millisecond
)

// Apply asks until the kernel says that the port is up. On Linux 6.8 and later
// asking is enough: rtnl_getlink runs the pending carrier work
// (linkwatch_sync_dev), which is what makes the bridge forward.
func (s Carrier) Apply(k *kernel) error {
	deadline := time.Now().Add(carrierWait)
	for pause := carrierStep; ; pause *= 2 {
		link, err := k.hostLinkNow(s.Host)
		if err != nil {
			return err
		}
		state := link.Attrs().OperState
		if state == netlink.OperUp {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("bridge port in error state: %s is %s after %s", s.Host, state, carrierWait)
		}
		time.Sleep(pause)
	}
}

// Check looks once: a port that was up and is not is what CHECK is for.
func (s Carrier) Check(k *kernel) error {
	link, err := k.hostLink(s.Host)
	if err != nil {
		return err
	}
	if state := link.Attrs().OperState; state != netlink.OperUp {
		return fmt.Errorf("bridge port in error state: %s is %s", s.Host, state)
	}
	return nil
}

// settleWait bounds duplicate address detection: one probe takes a second
// (RetransTimer, RFC 4861 section 10) after a random delay of up to another.
const (
	settleWait = 5 * time.Second
	settleStep = 20 * time.Millisecond
)

// Apply waits; an address that somebody else has is an error.
func (s PodSettled) Apply(k *kernel) error {
	for deadline := time.Now().Add(settleWait); ; time.Sleep(settleStep) {
		tentative, err := s.probing(k)
		if err != nil || !tentative {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("IPv6 addresses of %s in %s are still tentative after %s", s.IfName, s.Netns, settleWait)
		}
	}
}

// Check looks once.
func (s PodSettled) Check(k *kernel) error {
	tentative, err := s.probing(k)
	if err == nil && tentative {
		err = fmt.Errorf("IPv6 addresses of %s in %s are tentative", s.IfName, s.Netns)
	}
	return err
}

func (s PodSettled) probing(k *kernel) (bool, error) {
	link, err := k.podLink(s.IfName)
	if err != nil {
		return false, err
	}
	all, err := dump.Whole(func() ([]netlink.Addr, error) { return k.pod.AddrList(link, unix.AF_INET6) })
	if err != nil {
		return false, fmt.Errorf("list addresses of %s in %s: %w", s.IfName, s.Netns, err)
	}
	tentative := false
	for _, a := range all {
		if a.Flags&unix.IFA_F_DADFAILED != 0 {
			return false, fmt.Errorf("%s of %s in %s is in use by another host (duplicate address detection)", a.IPNet, s.IfName, s.Netns)
		}
		tentative = tentative || a.Flags&unix.IFA_F_TENTATIVE != 0
	}
	return tentative, nil
}
