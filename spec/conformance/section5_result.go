package conformance

import (
	"net/netip"
	"slices"
	"strings"
)

// resultRows are section 5, "ADD Success": interfaces and addresses.
var resultRows = []Row{
	{
		ID: "result-version", Section: "5 ADD Success", Level: Must, Kinds: []Kind{Interface, Chained, Loopback},
		Requirement: "The result's cniVersion is the one supplied on input.",
		Why:         "The runtime decodes the result by it.",
		check:       resultVersion,
	},
	{
		ID: "result-container-interface", Section: "5 ADD Success", Level: Must, Kinds: withLinks,
		Requirement: "The result lists the container's interface by its name, with the value of CNI_NETNS as its sandbox.",
		Why:         "Runtimes and later plugins find the pod's interface by the two.",
		check:       resultContainerInterface,
	},
	{
		ID: "result-all-interfaces", Section: "5 ADD Success", Level: Must, Kinds: onlyInterface,
		Requirement: "The result lists all interfaces that the attachment created, those on the host as well, with an empty sandbox.",
		Why:         "Bandwidth limits and packet captures go to the host's end.",
		check:       resultAllInterfaces,
	},
	{
		ID: "result-mac", Section: "5 ADD Success", Level: Must, Kinds: onlyInterface,
		Requirement: "mac is the hardware address that the interface has.",
		Why:         "Static neighbour entries and filters are made from it.",
		check:       resultMAC,
	},
	{
		ID: "result-mtu", Section: "5 ADD Success", Level: Must, Kinds: onlyInterface,
		Requirement: "mtu is there, since version 1.1.0, and is what the interface has.",
		Why:         "A later plugin that encapsulates has to know how much fits.",
		check:       resultMTU,
	},
	{
		ID: "result-ip-syntax", Section: "5 ADD Success", Level: Must, Kinds: []Kind{Interface, IPAM, Loopback},
		Requirement: "Addresses are in CIDR notation, and gateway is an address of the same family if it is there.",
		Why:         "One that cannot be parsed fails the ADD in every runtime.",
		check:       resultIPSyntax,
	},
	{
		ID: "result-ip-interface", Section: "5 ADD Success", Level: Must, Kinds: onlyInterface,
		Requirement: "interface of an address is the index, in interfaces, of the one that has it.",
		Why:         "The runtime takes the addresses of the wrong interface for the pod's.",
		check:       resultIPInterface,
	},
	{
		ID: "result-ip-all", Section: "5 ADD Success", Level: Must, Kinds: onlyInterface,
		Requirement: "The result lists every address that ADD put on the container's interface.",
		Why:         "What is not listed, nobody checks or publishes.",
		check:       resultIPAll,
	},
}

// resultDetailRows are the rest of section 5's "ADD Success".
var resultDetailRows = []Row{
	{
		ID: "result-route-syntax", Section: "5 ADD Success", Level: Must, Kinds: []Kind{Interface, IPAM},
		Requirement: "dst of a route is in CIDR notation, and gw is an address of the same family if it is there.",
		Why:         "One that cannot be parsed fails the ADD in every runtime.",
		check:       resultRouteSyntax,
	},
	{
		ID: "result-route-installed", Section: "5 ADD Success", Level: Must, Kinds: onlyInterface,
		Requirement: "The routes in the result are in the container, by their gw or the gateway of the address.",
		Why:         "The result would promise a way out that is not there.",
		check:       resultRouteInstalled,
	},
	{
		ID: "result-route-attributes", Section: "5 ADD Success", Level: Must, Kinds: onlyInterface,
		Requirement: "mtu, advmss, priority, table and scope of a route that the IPAM plugin determined are in the result, and the route in the container has them.",
		Why:         "A path MTU that is listed but not set is a black hole for large packets.",
		check:       resultRouteAttributes,
	},
	{
		ID: "result-dns-syntax", Section: "5 ADD Success", Level: Must, Kinds: []Kind{Interface, IPAM},
		Requirement: "dns.nameservers are addresses without a prefix length.",
		Why:         "They become lines of resolv.conf.",
		check:       resultDNSSyntax,
	},
	{
		ID: "result-ipam-abbreviated", Section: "5 Delegated plugins (IPAM)", Level: Must, Kinds: onlyIPAM,
		Requirement: "An IPAM plugin's result has no interfaces, and its addresses no interface.",
		Why:         "It made none; the plugin that asked fills them in.",
		check:       resultIPAMAbbreviated,
	},
	{
		ID: "result-ipam-determines", Section: "4 Plugin Delegation", Level: Must, Kinds: onlyIPAM,
		Requirement: "An IPAM plugin determines an address with its subnet, and a gateway within reach or none.",
		Why:         "It is all the plugin that asked has to go by.",
		check:       resultIPAMDetermines,
	},
}

func resultVersion(p *probe) {
	if _, r := p.added(); r.CNIVersion != p.version() {
		p.violated("the request's cniVersion is %s, the result's is %q", p.version(), r.CNIVersion)
	}
}

// listed ends the check where the version has no list of interfaces.
func (p *probe) listed() {
	p.since("0.3.0", "the list of interfaces")
}

func resultContainerInterface(p *probe) {
	p.listed()
	a, r := p.added()
	if _, found := r.container(a.ifname, a.netns); !found {
		p.violated("no interface in the result has name %s and sandbox %s: %s", a.ifname, a.netns, text(r.raw["interfaces"]))
	}
}

func resultAllInterfaces(p *probe) {
	p.listed()
	a := p.attachment()
	before := map[string][]link{"": p.linksIn(""), a.netns: p.linksIn(a.netns)}
	r := p.add(a)
	for sandbox, known := range before {
		for _, l := range p.linksIn(sandbox) {
			if _, old := find(known, l.Name); old {
				continue
			}
			if _, found := r.container(l.Name, sandbox); !found {
				p.violated("ADD made interface %s, and the result does not list it with sandbox %q: %s", l.Name, sandbox, text(r.raw["interfaces"]))
			}
		}
	}
}

// eachListed calls f with the interfaces of the result and what the kernel has.
func (p *probe) eachListed(a *attachment, r result, f func(resultInterface, link)) {
	for _, i := range r.Interfaces {
		if i.Sandbox != "" && i.Sandbox != a.netns {
			continue // of another plugin's making
		}
		l, there := find(p.linksIn(i.Sandbox), i.Name)
		if !there {
			p.violated("the result lists interface %s with sandbox %q, where there is none", i.Name, i.Sandbox)
		}
		f(i, l)
	}
}

func resultMAC(p *probe) {
	p.listed()
	a, r := p.added()
	p.eachListed(a, r, func(i resultInterface, l link) {
		if l.MAC != "" && !strings.EqualFold(i.MAC, l.MAC) {
			p.violated("the result has mac %q for %s, the interface has %s", i.MAC, i.Name, l.MAC)
		}
	})
}

func resultMTU(p *probe) {
	p.since("1.1.0", "mtu")
	a, r := p.added()
	p.eachListed(a, r, func(i resultInterface, l link) {
		if i.MTU != l.MTU {
			p.violated("the result has mtu %d for %s, the interface has %d", i.MTU, i.Name, l.MTU)
		}
	})
}

func resultIPSyntax(p *probe) {
	p.listed()
	_, r := p.added()
	for _, ip := range r.IPs {
		prefix, err := netip.ParsePrefix(ip.Address)
		if err != nil {
			p.violated("address %q is not in CIDR notation: %v", ip.Address, err)
		}
		p.sameFamily("gateway", ip.Gateway, prefix)
	}
}

// sameFamily demands that s is empty or an address of the prefix's family.
func (p *probe) sameFamily(what, s string, prefix netip.Prefix) {
	if s == "" {
		return
	}
	ip, err := netip.ParseAddr(s)
	if err != nil {
		p.violated("%s %q is not an address: %v", what, s, err)
	}
	if ip.Is4() != prefix.Addr().Is4() {
		p.violated("%s %s and %s are not of one family", what, ip, prefix)
	}
}

func resultIPInterface(p *probe) {
	p.listed()
	_, r := p.added()
	if len(r.IPs) == 0 {
		p.inapplicable("the result has no addresses")
	}
	for _, ip := range r.IPs {
		if ip.Interface == nil {
			p.violated("address %s has no interface", ip.Address)
		}
		if *ip.Interface < 0 || *ip.Interface >= len(r.Interfaces) {
			p.violated("address %s has interface %d, and there are %d interfaces", ip.Address, *ip.Interface, len(r.Interfaces))
		}
		i := r.Interfaces[*ip.Interface]
		l, there := find(p.linksIn(i.Sandbox), i.Name)
		if !there {
			p.violated("address %s points to %s, which does not exist", ip.Address, i.Name)
		}
		if !slices.ContainsFunc(p.addressesIn(i.Sandbox), func(have address) bool { return have.Link == l.Index && have.Prefix.String() == ip.Address }) {
			p.violated("address %s points to interface %s (sandbox %q), which does not have it", ip.Address, i.Name, i.Sandbox)
		}
	}
}

func resultIPAll(p *probe) {
	p.listed()
	a, r := p.added()
	l := p.containerLink(a)
	for _, have := range p.addressesIn(a.netns) {
		// The kernel gives every link an address of its own in fe80::/10.
		if have.Link != l.Index || have.Prefix.Addr().IsLinkLocalUnicast() {
			continue
		}
		if !slices.ContainsFunc(r.IPs, func(ip resultIP) bool { return ip.Address == have.Prefix.String() }) {
			p.violated("%s has address %s, which the result does not list", a.ifname, have.Prefix)
		}
	}
}

func resultRouteSyntax(p *probe) {
	_, r := p.added()
	if len(r.Routes) == 0 {
		p.inapplicable("the result has no routes")
	}
	for _, listed := range r.Routes {
		dst, err := netip.ParsePrefix(listed.Dst)
		if err != nil {
			p.violated("dst %q of a route is not in CIDR notation: %v", listed.Dst, err)
		}
		p.sameFamily("gw", listed.Gateway, dst)
	}
}

func resultRouteInstalled(p *probe) {
	p.listed()
	a, r := p.added()
	if len(r.Routes) == 0 {
		p.inapplicable("the result has no routes")
	}
	l := p.containerLink(a)
	if !l.Up {
		p.inapplicable("ADD leaves %s down, where no route can be", a.ifname)
	}
	there := p.routesIn(a.netns)
	for _, listed := range r.Routes {
		dst, err := netip.ParsePrefix(listed.Dst)
		if err != nil {
			p.violated("dst %q of a route is not in CIDR notation: %v", listed.Dst, err)
		}
		ways := []string{listed.Gateway}
		if listed.Gateway == "" {
			for _, ip := range r.IPs {
				ways = append(ways, ip.Gateway)
			}
		}
		matches := func(have route) bool {
			return have.Dst == dst.Masked() && have.Link == l.Index && (!have.Gateway.IsValid() && slices.Contains(ways, "") || slices.Contains(ways, have.Gateway.String()))
		}
		if !slices.ContainsFunc(there, matches) {
			p.violated("the result lists a route to %s via one of %q, and the container has %+v", dst, ways, there)
		}
	}
}

// attributedRoute has each optional attribute of a route, with values that no
// plugin would choose, by the gateway that the IPAM plugin determined; on-link
// where there is none.
func attributedRoute(determined result) map[string]any {
	r := map[string]any{"dst": "203.0.113.0/24", "mtu": 1300, "advmss": 1200, "priority": 77, "table": 177, "scope": scopeLink}
	for _, ip := range determined.IPs {
		if gateway, err := netip.ParseAddr(ip.Gateway); err == nil && gateway.Is4() {
			r["gw"], r["scope"] = ip.Gateway, scopeUniverse
		}
	}
	return r
}

func resultRouteAttributes(p *probe) {
	p.since("1.1.0", "attributes of routes")
	p.standIn()
	wanted := p.determined()
	known, _ := wanted.raw["routes"].([]any) // absent means none
	asked := attributedRoute(wanted)
	p.delegateAnswers("ADD", text(wanted.with("routes", append(slices.Clone(known), any(asked)))))
	a, r := p.added()
	i := slices.IndexFunc(r.Routes, func(listed resultRoute) bool { return listed.Dst == asked["dst"] })
	if i < 0 {
		p.violated("the route to %s is not in the result", asked["dst"])
	}
	got := r.Routes[i]
	if got.MTU != 1300 || got.AdvMSS != 1200 || got.Priority != 77 || got.Table == nil || *got.Table != 177 || got.Scope == nil || *got.Scope != asked["scope"] {
		p.violated("the IPAM plugin determined the route %s, the result has %s", text(asked), text(r.raw["routes"]))
	}
	l := p.containerLink(a)
	if !l.Up {
		return
	}
	there := p.routesIn(a.netns)
	want := route{Dst: netip.MustParsePrefix("203.0.113.0/24"), Link: l.Index, Table: 177, Priority: 77, Scope: *got.Scope, MTU: 1300, AdvMSS: 1200}
	if listed, err := netip.ParseAddr(got.Gateway); err == nil {
		want.Gateway = listed
	}
	if !slices.Contains(there, want) {
		p.violated("the result lists the route %s, and the container has %+v", text(asked), there)
	}
}

func resultDNSSyntax(p *probe) {
	_, r := p.added()
	if len(r.DNS.Nameservers) == 0 {
		p.inapplicable("the result has no nameservers")
	}
	for _, server := range r.DNS.Nameservers {
		if _, err := netip.ParseAddr(server); err != nil {
			p.violated("nameserver %q is not an address: %v", server, err)
		}
	}
}

func resultIPAMAbbreviated(p *probe) {
	p.listed()
	_, r := p.added()
	if _, there := r.raw["interfaces"]; there && len(r.Interfaces) > 0 {
		p.violated("the result has interfaces: %s", text(r.raw["interfaces"]))
	}
	for _, ip := range r.IPs {
		if ip.Interface != nil {
			p.violated("address %s has interface %d", ip.Address, *ip.Interface)
		}
	}
}

func resultIPAMDetermines(p *probe) {
	p.listed()
	_, r := p.added()
	if len(r.IPs) == 0 {
		p.violated("the result has no address")
	}
	for _, ip := range r.IPs {
		prefix, err := netip.ParsePrefix(ip.Address)
		if err != nil {
			p.violated("address %q is not in CIDR notation: %v", ip.Address, err)
		}
		if !prefix.Addr().IsValid() || prefix.Addr().IsUnspecified() {
			p.violated("address %s cannot be assigned", prefix)
		}
		if gateway, err := netip.ParseAddr(ip.Gateway); err == nil && gateway == prefix.Addr() {
			p.violated("address %s is the gateway's as well", prefix)
		}
	}
}
