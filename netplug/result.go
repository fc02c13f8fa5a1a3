package netplug

import (
	"net"
	"net/netip"

	"github.com/containernetworking/cni/pkg/types"
	current "github.com/containernetworking/cni/pkg/types/100"

	"github.com/mascri/mascri/spec"
)

// addresses reads what the plan needs of an IPAM plugin's result, or of a
// prevResult.
func addresses(result *current.Result) ([]Lease, []Route, error) {
	var leases []Lease
	for _, ip := range result.IPs {
		address := prefix(&ip.Address)
		if !address.IsValid() {
			return nil, nil, spec.Errorf(spec.Decode, "the result has the address %v, which is none", ip.Address)
		}
		leases = append(leases, Lease{Address: address, Gateway: addr(ip.Gateway)})
	}
	var routes []Route
	for _, r := range result.Routes {
		dst := prefix(&r.Dst)
		if !dst.IsValid() {
			return nil, nil, spec.Errorf(spec.Decode, "the result has a route to %v, which is no network", r.Dst)
		}
		routes = append(routes, Route{
			Dst: dst, Gateway: addr(r.GW), MTU: r.MTU, AdvMSS: r.AdvMSS,
			Priority: r.Priority, Table: value(r.Table), Scope: value(r.Scope),
		})
	}
	return leases, routes, nil
}

// ofInterface keeps of a prevResult the addresses of the attachment's own
// interface; those without an interface index count as its, too.
func ofInterface(prev *current.Result, cfg Config) *current.Result {
	own := *prev
	own.IPs = nil
	for _, ip := range prev.IPs {
		if i := ip.Interface; i != nil && *i >= 0 && *i < len(prev.Interfaces) {
			if of := prev.Interfaces[*i]; of.Sandbox == "" || of.Name != cfg.Attachment.IfName {
				continue
			}
		}
		own.IPs = append(own.IPs, ip)
	}
	return &own
}

// appended puts what ADD made behind what the plugins before it in the chain
// reported, which must stay in the result (SPEC section 2, "ADD").
func appended(prev, own *current.Result) *current.Result {
	if prev == nil {
		return own
	}
	for _, ip := range own.IPs {
		ip.Interface = current.Int(len(prev.Interfaces) + podIndex)
	}
	own.Interfaces = append(append([]*current.Interface(nil), prev.Interfaces...), own.Interfaces...)
	own.IPs = append(append([]*current.IPConfig(nil), prev.IPs...), own.IPs...)
	own.Routes = append(append([]*types.Route(nil), prev.Routes...), own.Routes...)
	if own.DNS.IsEmpty() {
		own.DNS = prev.DNS
	}
	return own
}

// dns prefers the configuration's settings to the IPAM plugin's.
func dns(cfg Config, ipam types.DNS) types.DNS {
	if !cfg.DNS.IsEmpty() {
		return cfg.DNS
	}
	return ipam
}

// podIndex is the place of the container's interface in a result; the bridge
// and the host's end come before it.
const podIndex = 2

func ipConfigs(leases []Lease) []*current.IPConfig {
	var all []*current.IPConfig
	for _, l := range leases {
		all = append(all, &current.IPConfig{
			Interface: current.Int(podIndex), Address: *ipNet(l.Address), Gateway: l.Gateway.AsSlice(),
		})
	}
	return all
}

// resultRoutes adds the default routes that the plan added to the IPAM
// plugin's own, which stay as they came.
func resultRoutes(ipam []*types.Route, planned []Route) []*types.Route {
	all := append([]*types.Route(nil), ipam...)
	for _, r := range planned[min(len(ipam), len(planned)):] {
		all = append(all, &types.Route{Dst: *ipNet(r.Dst), GW: r.Gateway.AsSlice()})
	}
	return all
}

func addr(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip)
	return a.Unmap()
}

func prefix(n *net.IPNet) netip.Prefix {
	ones, bits := n.Mask.Size()
	a := addr(n.IP)
	if bits == 8*net.IPv6len && a.Is4() {
		ones -= 96 // an IPv4 network written as a mapped IPv6 one (RFC 4291, 2.5.5.2)
	}
	return netip.PrefixFrom(a, ones)
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

func value(p *int) int {
	if p == nil {
		return 0
	}
	return *p
}
