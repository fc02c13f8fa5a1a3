package conformance

import (
	"slices"
)

// damageRows are section 2, "CHECK", too: each takes away one thing that ADD
// made, and CHECK has to notice.
var damageRows = []Row{
	{
		ID: "check-interface-missing", Section: "2 CHECK", Level: Should, Kinds: onlyInterface,
		Requirement: "CHECK fails when the container's interface is gone.",
		Why:         "It is the first thing CHECK is for.",
		check:       checkInterfaceMissing,
	},
	{
		ID: "check-interface-down", Section: "2 CHECK", Level: Should, Kinds: withLinks,
		Requirement: "CHECK fails when the container's interface is down: it is in an invalid state.",
		Why:         "A pod whose link is down is unreachable, with all its addresses in place.",
		check:       checkInterfaceDown,
	},
	{
		ID: "check-address-missing", Section: "2 CHECK", Level: Should, Kinds: withLinks,
		Requirement: "CHECK fails when an address of the result is gone from the interface.",
		Why:         "Services go on sending to it.",
		check:       checkAddressMissing,
	},
	{
		ID: "check-route-missing", Section: "2 CHECK", Level: Should, Kinds: onlyInterface,
		Requirement: "CHECK fails when a route of the result is gone.",
		Why:         "The pod can be reached from its own network only.",
		check:       checkRouteMissing,
	},
	{
		ID: "check-host-interface-missing", Section: "2 CHECK", Level: Should, Kinds: onlyInterface,
		Requirement: "CHECK fails when an interface that the result lists on the host is gone.",
		Why:         "The pod's side looks healthy while nothing is at the other end.",
		check:       func(p *probe) { p.hostSide(deleteLink, "ip link del %s") },
	},
	{
		ID: "check-host-interface-down", Section: "2 CHECK", Level: Should, Kinds: onlyInterface,
		Requirement: "CHECK fails when the container is unreachable because an interface that the result lists on the host is down.",
		Why:         "A bridge that is down cuts off every pod on it.",
		check:       func(p *probe) { p.hostSide(setLinkDown, "ip link set %s down") },
	},
	{
		ID: "check-firewall-missing", Section: "2 CHECK", Level: Should, Kinds: []Kind{Interface, Chained},
		Requirement: "CHECK fails when the packet-filter rules that ADD made are gone.",
		Why:         "A firewall reload wipes masquerading and host ports of all pods at once.",
		check:       checkFirewallMissing,
	},
	{
		ID: "check-reservation-missing", Section: "2 CHECK", Level: Should, Kinds: []Kind{Interface, IPAM},
		Requirement: "CHECK fails when the reservation of the address is gone.",
		Why:         "The address will be handed out a second time.",
		check:       checkReservationMissing,
	},
}

// unhealthy demands that CHECK, which succeeded before, now fails.
func (p *probe) unhealthy(a *attachment, what string, args ...any) {
	p.refuses(p.call("CHECK", a), "CHECK after "+what, args...)
}

// healthy is an attachment that CHECK is content with.
func (p *probe) healthy() (*attachment, result) {
	a, r := p.checked()
	p.prepared(p.call("CHECK", a), "CHECK before anything was damaged")
	return a, r
}

func checkInterfaceMissing(p *probe) {
	a, _ := p.healthy()
	p.damage(a.netns, func() error { return deleteLink(a.ifname) }, "ip link del %s", a.ifname)
	p.unhealthy(a, "%s was deleted", a.ifname)
}

func checkInterfaceDown(p *probe) {
	a, _ := p.healthy()
	if !p.containerLink(a).Up {
		p.inapplicable("ADD leaves %s down", a.ifname)
	}
	p.damage(a.netns, func() error { return setLinkDown(a.ifname) }, "ip link set %s down", a.ifname)
	p.unhealthy(a, "%s was set down", a.ifname)
}

func checkAddressMissing(p *probe) {
	a, r := p.healthy()
	l := p.containerLink(a)
	for _, have := range p.addressesIn(a.netns) {
		listed := slices.ContainsFunc(r.IPs, func(ip resultIP) bool { return ip.Address == have.Prefix.String() })
		if have.Link != l.Index || !listed {
			continue
		}
		p.damage(a.netns, func() error { return deleteAddress(have) }, "ip addr del %s dev %s", have.Prefix, a.ifname)
		p.unhealthy(a, "address %s was deleted", have.Prefix)
		return
	}
	p.inapplicable("the result lists no address of %s", a.ifname)
}

func checkRouteMissing(p *probe) {
	a, r := p.healthy()
	there, _ := p.installed(a, r)
	p.damage(a.netns, func() error { return deleteRoute(there) }, "ip route del %s dev %s", there.Dst, a.ifname)
	p.unhealthy(a, "route %s was deleted", there.Dst)
}

// hostSide damages the interfaces of the result that are on the host, each
// with an attachment of its own.
func (p *probe) hostSide(damage func(name string) error, command string) {
	_, r := p.healthy()
	damaged := 0
	for i, listed := range r.Interfaces {
		if listed.Sandbox != "" {
			continue
		}
		a, now := p.healthy()
		if i >= len(now.Interfaces) {
			p.blocked("a second attachment's result has fewer interfaces than the first's")
		}
		name := now.Interfaces[i].Name
		if _, there := find(p.linksIn(""), name); !there {
			p.blocked("the result lists %s on the host, where there is none", name)
		}
		damaged++
		p.damage("", func() error { return damage(name) }, command, name)
		p.unhealthy(a, command, name)
		if _, there := find(p.linksIn(""), name); there {
			p.damage("", func() error { return setLinkUp(name) }, "ip link set %s up", name)
		}
	}
	if damaged == 0 {
		p.inapplicable("the result lists no interface on the host")
	}
}

func checkFirewallMissing(p *probe) {
	p.since("0.4.0", "CHECK")
	a := p.attachment()
	before := p.filter().objects
	p.add(a)
	if p.filter().objects <= before {
		p.inapplicable("ADD makes no packet-filter rules")
	}
	p.prepared(p.call("CHECK", a), "CHECK before anything was damaged")
	p.damage("", flushFilter, "nft flush ruleset")
	if p.filter().objects > 0 {
		p.inapplicable("the rules are in the older iptables, which the suite does not flush")
	}
	p.unhealthy(a, "the packet filter was flushed")
}

func checkReservationMissing(p *probe) {
	if p.unit.Kind == Interface {
		p.delegate()
	}
	a, r := p.healthy()
	if p.unit.Kind == Interface && len(r.IPs) == 0 {
		p.inapplicable("the result has no addresses")
	}
	ipam := p.unit.stage
	if p.unit.Kind == Interface {
		ipam.binary = p.ipamBinary()
	}
	p.note("the address is released behind the plugin's back")
	p.prepared(p.run(p.request(ipam, "DEL", a)), "the IPAM plugin's DEL")
	p.unhealthy(a, "its reservation was released")
}
