package netplug

import (
	"net/netip"

	"github.com/mascri/mascri/netplug/filter"
)

// Lease is one address that the IPAM plugin handed out.
type Lease struct {
	Address netip.Prefix // with the length of its subnet: 10.22.0.5/16
	Gateway netip.Addr   // may be the zero Addr
}

// Route is one route that the pod gets.
type Route struct {
	Dst             netip.Prefix
	Gateway         netip.Addr // the zero Addr: Dst is on the link
	MTU, AdvMSS     int        // bytes; 0 leaves the kernel's choice
	Priority, Table int        // 0 leaves the kernel's choice
	Scope           int        // RT_SCOPE_*; 0 is the universe
}

// PlanBridge says everything that an ADD makes, in order. It reads as the
// shell script does that it prints, and touches nothing.
func PlanBridge(cfg Config, leases []Lease, routes []Route) Plan {
	leases = withGateways(cfg, leases)
	routes = withDefaults(cfg, leases, routes)
	return Plan{Node: nodeSteps(cfg, leases), Pod: podSteps(cfg, leases, routes)}
}

func nodeSteps(cfg Config, leases []Lease) []Step {
	steps := []Step{bridgeStep(cfg)}
	gateway := cfg.gatewayLink()
	if gateway != cfg.Bridge {
		steps = append(steps, VLANLeg{Bridge: cfg.Bridge, Name: gateway, VLAN: cfg.VLANs.Access})
	}
	for _, l := range leases {
		if cfg.IsGateway {
			steps = append(steps,
				Gateway{Link: gateway, Address: netip.PrefixFrom(l.Gateway, l.Address.Bits()), Force: cfg.ForceAddress},
				Forwarding{IPv6: l.Address.Addr().Is6()})
		}
	}
	// On a node that drops what it forwards (Docker's does), even two pods on
	// one bridge are cut off: bridge-nf-call-iptables sends their frames
	// through the same chain.
	for _, family := range families(leases) {
		steps = append(steps,
			Filter{filter.ForwardAccept{Bridge: cfg.Bridge, Family: family}},
			Filter{filter.ForwardAccept{Bridge: gateway, Family: family}})
	}
	for _, l := range leases {
		steps = append(steps, translation(cfg, l)...)
	}
	return unique(steps)
}

func bridgeStep(cfg Config) Bridge {
	return Bridge{Name: cfg.Bridge, MTU: cfg.MTU, Promisc: cfg.Promisc, VLANFiltering: cfg.VLANs.enabled()}
}

func vethStep(cfg Config) Veth {
	return Veth{
		Host: cfg.hostEnd(), Alias: alias(cfg.Network, cfg.Attachment), Bridge: cfg.Bridge, MTU: cfg.MTU,
		Netns: cfg.Netns, IfName: cfg.Attachment.IfName, MAC: cfg.MAC.String(),
	}
}

// linkSteps are those of the plan's that no lease is needed for: the bridge and
// the veth pair, which are most of the kernel's work.
func linkSteps(cfg Config) []Step { return []Step{bridgeStep(cfg), vethStep(cfg)} }

func podSteps(cfg Config, leases []Lease, routes []Route) []Step {
	host, netns, eth := cfg.hostEnd(), cfg.Netns, cfg.Attachment.IfName
	steps := []Step{vethStep(cfg)}
	// A bridge that runs netfilter rewrites the destination of a frame from a
	// pod to its own host port, and then has to send it back where it came from.
	if cfg.Hairpin || cfg.Isolated || len(cfg.Ports) > 0 {
		steps = append(steps, Port{Host: host, Hairpin: cfg.Hairpin || len(cfg.Ports) > 0, Isolated: cfg.Isolated})
	}
	if cfg.VLANs.enabled() {
		steps = append(steps, PortVLANs{Host: host, Bridge: cfg.Bridge, VLANs: cfg.VLANs})
	}
	if cfg.SpoofCheck {
		steps = append(steps, Filter{filter.Ruleset{Family: filter.Bridge}},
			Filter{filter.SpoofCheck{Owner: owner(cfg), Interface: host, MAC: [6]byte(cfg.MAC)}})
	}
	if !cfg.LeavePodDown {
		steps = append(steps, podInterface(cfg, leases, routes)...)
		steps = append(steps, Carrier{Host: host})
		if cfg.DAD && hasIPv6(leases) {
			steps = append(steps, PodSettled{Netns: netns, IfName: eth})
		}
	}
	return append(steps, hostPorts(cfg, leases)...)
}

// podInterface is what happens inside the pod's namespace.
func podInterface(cfg Config, leases []Lease, routes []Route) []Step {
	netns, eth := cfg.Netns, cfg.Attachment.IfName
	var steps []Step
	if len(leases) > 0 {
		steps = append(steps, PodSettings{Netns: netns, IfName: eth, IPv6: hasIPv6(leases), DAD: cfg.DAD})
	}
	for _, l := range leases {
		steps = append(steps, PodAddress{Netns: netns, IfName: eth, Address: l.Address, DAD: cfg.DAD})
	}
	steps = append(steps, PodUp{Netns: netns, IfName: eth})
	for _, r := range unique(routes) {
		steps = append(steps, PodRoute{Netns: netns, IfName: eth, Route: r})
	}
	return steps
}

// hostPorts has a step for each host port and address family that both sides have.
func hostPorts(cfg Config, leases []Lease) []Step {
	var steps []Step
	for _, m := range cfg.Ports {
		for _, l := range firstOfFamily(leases) {
			pod := l.Address.Addr()
			if m.HostIP.IsValid() && m.HostIP.Is4() != pod.Is4() {
				continue
			}
			steps = append(steps, Filter{filter.HostPort{
				Owner: owner(cfg), Protocol: m.Protocol, HostIP: m.HostIP, HostPort: m.HostPort,
				Pod: netip.AddrPortFrom(pod, m.ContainerPort),
			}})
		}
	}
	return steps
}

// owner is whose the packet filter's elements are.
func owner(cfg Config) filter.Owner {
	return filter.Owner{Network: cfg.Network, ContainerID: cfg.Attachment.ContainerID, IfName: cfg.Attachment.IfName}
}

// withGateways fills in the gateway that the bridge is to be: the subnet's
// first address, where the IPAM plugin named none.
func withGateways(cfg Config, leases []Lease) []Lease {
	out := append([]Lease(nil), leases...)
	for i, l := range out {
		if cfg.IsGateway && !l.Gateway.IsValid() {
			out[i].Gateway = l.Address.Masked().Addr().Next()
		}
	}
	return out
}

// withDefaults adds, for each family, the default route through the bridge,
// unless the IPAM plugin named a default route with a gateway of its own; and
// gives routes without a gateway their family's.
func withDefaults(cfg Config, leases []Lease, routes []Route) []Route {
	out := append([]Route(nil), routes...)
	for _, l := range firstOfFamily(leases) {
		is4 := l.Address.Addr().Is4()
		found := false
		for i, r := range out {
			if r.Dst.Addr().Is4() != is4 {
				continue
			}
			found = found || r.Dst.Bits() == 0 && r.Gateway.IsValid()
			if !r.Gateway.IsValid() {
				out[i].Gateway = l.Gateway
			}
		}
		if cfg.DefaultGateway && !found {
			out = append(out, Route{Dst: netip.PrefixFrom(unspecified(is4), 0), Gateway: l.Gateway})
		}
	}
	return out
}

func unspecified(is4 bool) netip.Addr {
	if is4 {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

// firstOfFamily keeps the first IPv4 and the first IPv6 lease.
func firstOfFamily(leases []Lease) []Lease {
	var out []Lease
	for _, l := range leases {
		if len(out) == 0 || len(out) == 1 && out[0].Address.Addr().Is4() != l.Address.Addr().Is4() {
			out = append(out, l)
		}
	}
	return out
}

// families lists the families of the leases; a layer 2 network carries both.
func families(leases []Lease) []filter.Family {
	if len(leases) == 0 {
		return []filter.Family{filter.IPv4, filter.IPv6}
	}
	var out []filter.Family
	for _, l := range firstOfFamily(leases) {
		out = append(out, filter.FamilyOf(l.Address.Addr()))
	}
	return out
}

// translation is what the network of one lease needs of the packet filter:
// masquerade, and the way back from host ports.
func translation(cfg Config, l Lease) []Step {
	subnet := l.Address.Masked()
	var steps []Step
	if cfg.Masquerade {
		steps = append(steps, Filter{filter.Masquerade{Network: cfg.Network, Source: subnet}})
	}
	if len(cfg.Ports) > 0 {
		steps = append(steps, Filter{filter.Hairpin{Network: cfg.Network, Pods: subnet, Interface: cfg.gatewayLink()}})
		if subnet.Addr().Is4() {
			steps = append(steps, RouteLocalnet{Link: cfg.gatewayLink()})
		}
	}
	if steps == nil {
		return nil
	}
	return append([]Step{Filter{filter.Ruleset{Family: filter.FamilyOf(subnet.Addr())}}}, steps...)
}

func hasIPv6(leases []Lease) bool {
	for _, l := range leases {
		if l.Address.Addr().Is6() {
			return true
		}
	}
	return false
}

// unique drops repeated elements and keeps the order.
func unique[T comparable](all []T) []T {
	seen := make(map[T]bool, len(all))
	var out []T
	for _, x := range all {
		if !seen[x] {
			seen[x] = true
			out = append(out, x)
		}
	}
	return out
}
