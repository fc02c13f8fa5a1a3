//go:build privileged

package conformance

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// tinyBridge connects the host ends.
const tinyBridge = "bridge0"

// interfaceVerb is the tiny interface plugin: a veth pair with one end on a
// bridge, what the IPAM plugin determined on the other, and a masquerade rule.
func (t *tiny) interfaceVerb() error {
	switch t.command {
	case "ADD":
		return t.interfaceAdd()
	case "DEL":
		return t.interfaceDel()
	case "CHECK":
		return t.interfaceCheck()
	case "GC":
		return t.interfaceGC()
	}
	return t.interfaceStatus()
}

// hostName is the host end's name, so that DEL needs nothing but the request.
func (t *tiny) hostName() string {
	return fmt.Sprintf("tiny%x", sha256.Sum256([]byte(t.owner())))[:12]
}

// pod opens the container's namespace.
func (t *tiny) pod() (*netlink.Handle, netns.NsHandle, error) {
	ns, err := netns.GetFromPath(t.netns)
	if err != nil {
		return nil, ns, tinyErrorf(7, "CNI_NETNS %s: %v", t.netns, err)
	}
	h, err := netlink.NewHandleAt(ns)
	if err != nil {
		return nil, ns, tinyErrorf(7, "CNI_NETNS %s: %v", t.netns, err)
	}
	return h, ns, nil
}

func (t *tiny) interfaceAdd() error {
	pod, ns, err := t.pod()
	if err != nil && t.is("env-netns-unusable") {
		return t.print(tinyResult{})
	}
	if err != nil {
		return err
	}
	if old, err := pod.LinkByName(t.ifname); err == nil {
		if !t.is("add-existing-interface") {
			return tinyErrorf(100, "%s exists already in %s", t.ifname, t.netns)
		}
		if err := pod.LinkDel(old); err != nil {
			return err
		}
	}
	r, err := t.askIPAM()
	if err != nil {
		return err
	}
	if err := t.makePair(pod, ns, &r); err != nil {
		return err
	}
	if t.conf.IPMasq && !t.is("config-ipmasq") {
		if err := addRule(tinyMasquerade, t.owner()); err != nil {
			return err
		}
	}
	if t.conf.DNS != nil {
		r.DNS = t.conf.DNS
	}
	if t.is("config-dns") && t.conf.DNS["search"] != nil {
		slices.Reverse(r.DNS["search"].([]any))
	}
	return t.print(t.afterPrevious(r))
}

// afterPrevious appends r to the prevResult.
func (t *tiny) afterPrevious(r tinyResult) tinyResult {
	if t.conf.PrevResult == nil || t.is("add-prevresult-kept") {
		return r
	}
	all := *t.conf.PrevResult
	for _, ip := range r.IPs {
		if ip.Interface != nil {
			shifted := *ip.Interface + len(all.Interfaces)
			ip.Interface = &shifted
		}
		all.IPs = append(all.IPs, ip)
	}
	all.Interfaces = append(all.Interfaces, r.Interfaces...)
	all.Routes = append(all.Routes, r.Routes...)
	if r.DNS != nil {
		all.DNS = r.DNS
	}
	return all
}

// askIPAM returns what is to be applied; nothing for a network without.
func (t *tiny) askIPAM() (tinyResult, error) {
	var r tinyResult
	if t.conf.IPAM == nil {
		return r, nil
	}
	out, err := t.delegate("ADD")
	if err != nil && t.is("delegate-add-error") {
		return r, nil
	}
	if err != nil && !t.is("delegate-add-undo") {
		_, undo := t.delegate("DEL")
		return r, errors.Join(err, undo)
	}
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(out, &r)
}

// makePair makes the pair and puts r on the container's end.
func (t *tiny) makePair(pod *netlink.Handle, ns netns.NsHandle, r *tinyResult) error {
	name := t.ifname
	if t.is("add-creates-interface") {
		name = "other0"
	}
	pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: t.hostName()}, PeerName: name, PeerNamespace: netlink.NsFd(int(ns))}
	if err := netlink.LinkAdd(pair); err != nil {
		return fmt.Errorf("make the pair: %w", err)
	}
	host, err := netlink.LinkByName(t.hostName())
	if err != nil {
		return err
	}
	inside, err := pod.LinkByName(name)
	if err != nil {
		return err
	}
	bridge, err := ensureBridge()
	if err != nil {
		return err
	}
	if err := errors.Join(netlink.LinkSetAlias(host, t.owner()), netlink.LinkSetMaster(host, bridge), netlink.LinkSetUp(host), pod.LinkSetUp(inside)); err != nil {
		return err
	}
	if err := t.configure(pod, inside, r); err != nil {
		return err
	}
	t.list(r, bridge.Attrs(), host.Attrs(), inside.Attrs())
	return nil
}

// ensureBridge makes the bridge with a MAC of its own: it would take its
// ports' otherwise, and the result be wrong as soon as the next one comes.
func ensureBridge() (netlink.Link, error) {
	attrs := netlink.LinkAttrs{Name: tinyBridge, HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, 9}, Flags: net.FlagUp}
	if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}); err != nil && !errors.Is(err, syscall.EEXIST) {
		return nil, fmt.Errorf("make the bridge: %w", err)
	}
	return netlink.LinkByName(tinyBridge)
}

func (t *tiny) configure(pod *netlink.Handle, inside netlink.Link, r *tinyResult) error {
	if t.is("add-applies-addresses") {
		return nil
	}
	gateway := ""
	for i := range r.IPs {
		addr, err := netlink.ParseAddr(r.IPs[i].Address)
		if err != nil {
			return err
		}
		if err := pod.AddrAdd(inside, addr); err != nil {
			return err
		}
		container := 2
		r.IPs[i].Interface, gateway = &container, r.IPs[i].Gateway
	}
	for _, listed := range r.Routes {
		if t.is("delegate-result-applied") || t.is("result-route-installed") {
			continue
		}
		if err := pod.RouteAppend(t.kernelRoute(listed, inside.Attrs().Index, gateway)); err != nil {
			return fmt.Errorf("route %s: %w", listed.Dst, err)
		}
	}
	return nil
}

func (t *tiny) kernelRoute(listed tinyRoute, link int, gateway string) *netlink.Route {
	_, dst, err := net.ParseCIDR(listed.Dst)
	if err != nil {
		panic(err)
	}
	if listed.Gateway != "" {
		gateway = listed.Gateway
	}
	r := &netlink.Route{LinkIndex: link, Dst: dst, Gw: net.ParseIP(gateway), MTU: listed.MTU, AdvMSS: listed.AdvMSS, Priority: listed.Priority}
	if t.is("result-route-attributes") {
		r.MTU = 0
	}
	if listed.Table != nil {
		r.Table = *listed.Table
	}
	if listed.Scope != nil {
		r.Scope = netlink.Scope(*listed.Scope)
	}
	return r
}

// list fills the result's interfaces, broken where that is the fault.
func (t *tiny) list(r *tinyResult, bridge, host, inside *netlink.LinkAttrs) {
	b := tinyIface{Name: bridge.Name, MAC: bridge.HardwareAddr.String(), MTU: bridge.MTU}
	h := tinyIface{Name: host.Name, MAC: host.HardwareAddr.String(), MTU: host.MTU}
	c := tinyIface{Name: inside.Name, MAC: inside.HardwareAddr.String(), MTU: inside.MTU, Sandbox: t.netns}
	switch {
	case t.is("result-container-interface"):
		c.Sandbox = ""
	case t.is("result-mac"):
		c.MAC = "02:00:00:00:00:01"
	case t.is("result-mtu"):
		c.MTU = 0
	}
	r.Interfaces = []tinyIface{b, h, c}
	host0 := 0
	switch {
	case t.is("result-all-interfaces"):
		r.Interfaces = []tinyIface{c}
		for i := range r.IPs {
			r.IPs[i].Interface = &host0
		}
	case t.is("result-ip-interface") && len(r.IPs) > 0:
		r.IPs[0].Interface = &host0
	case t.is("result-ip-all"):
		r.IPs = nil
	}
}

func (t *tiny) interfaceDel() error {
	var errs []error
	if t.conf.IPAM != nil && !t.is("delegate-del") {
		if _, err := t.delegate("DEL"); err != nil && !t.is("delegate-del-error") {
			errs = append(errs, err)
		}
	}
	if t.keepsOnDel() || t.is("del-missing-interface") && !t.hasInterface() {
		return errors.Join(errs...)
	}
	links, err := tinyLinks()
	errs = append(errs, err)
	for _, l := range links {
		if strings.HasPrefix(l.Attrs().Name, "tiny") && t.owns(l.Attrs().Alias) && !t.is("del-removes") {
			errs = append(errs, gone(netlink.LinkDel(l)))
		}
	}
	return errors.Join(append(errs, deleteRules(tinyMasquerade, t.owns))...)
}

func (t *tiny) hasInterface() bool {
	pod, _, err := t.pod()
	if err != nil {
		return false
	}
	_, err = pod.LinkByName(t.ifname)
	return err == nil
}

// tinyLinks lists the host's links, again where another plugin changed them
// meanwhile.
func tinyLinks() ([]netlink.Link, error) {
	for try := 0; ; try++ {
		all, err := netlink.LinkList()
		if try == 10 || !errors.Is(err, netlink.ErrDumpInterrupted) {
			return all, err
		}
	}
}

// gone is nil for a link that vanished meanwhile.
func gone(err error) error {
	if err != nil && strings.Contains(err.Error(), "no such device") {
		return nil
	}
	return err
}

func (t *tiny) interfaceGC() error {
	if t.is("gc-removes-stale") {
		return nil
	}
	var errs []error
	if t.conf.IPAM != nil && !t.is("gc-forwards") {
		if _, err := t.delegate("GC"); err != nil && !t.is("gc-reports-delegate-error") {
			errs = append(errs, err)
		}
	}
	if t.is("gc-continues") && errors.Join(errs...) != nil {
		return errors.Join(errs...)
	}
	links, err := tinyLinks()
	errs = append(errs, err)
	for _, l := range links {
		if strings.HasPrefix(l.Attrs().Name, "tiny") && !t.valid(l.Attrs().Alias) {
			errs = append(errs, gone(netlink.LinkDel(l)))
		}
	}
	return errors.Join(append(errs, deleteRules(tinyMasquerade, func(owner string) bool { return !t.valid(owner) }))...)
}

func (t *tiny) interfaceStatus() error {
	if t.conf.IPAM == nil || t.is("status-delegates") {
		return nil
	}
	_, err := t.delegate("STATUS")
	if t.is("status-delegate-error") || t.is("status-exhausted") {
		return nil
	}
	return err
}
