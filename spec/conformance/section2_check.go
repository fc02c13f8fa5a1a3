package conformance

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
)

// checkRows are section 2, "CHECK": how a plugin compares what it was told
// with what is there. What it has to notice is in section2_damage.go.
var checkRows = []Row{
	{
		ID: "check-after-add", Section: "2 CHECK", Level: Must, Kinds: everyKind,
		Requirement: "CHECK immediately after ADD succeeds: the plugin allows for what still converges.",
		Why:         "A runtime takes a failed CHECK for a pod that is broken for good.",
		check:       checkAfterAdd,
	},
	{
		ID: "check-without-ipam", Section: "2 CHECK", Level: Must, Kinds: onlyInterface,
		Requirement: "CHECK succeeds after ADD of a network without addresses too, if the plugin can make one.",
		Why:         "Where nothing is delegated there is no delegate to fail.",
		check:       checkWithoutIPAM,
	},
	{
		ID: "check-consults-addresses", Section: "2 CHECK", Level: Must, Kinds: []Kind{Interface, IPAM, Loopback},
		Requirement: "CHECK takes the expected addresses from prevResult: it fails for one that is not there.",
		Why:         "The runtime publishes the address in its result; that is the one that has to work.",
		check:       checkConsultsAddresses,
	},
	{
		ID: "check-consults-interfaces", Section: "2 CHECK", Level: Must, Kinds: onlyInterface,
		Requirement: "CHECK takes the expected interfaces from prevResult: it fails for one that is not there.",
		Why:         "An interface that a later plugin replaced is not the one to look at.",
		check:       checkConsultsInterfaces,
	},
	{
		ID: "check-needs-prevresult", Section: "2 CHECK", Level: Must, Kinds: []Kind{Interface, Chained},
		Requirement: "CHECK without the prevResult that it must consult is an error.",
		Why:         "A CHECK that has nothing to compare with has checked nothing.",
		check:       checkNeedsPrevResult,
	},
	{
		ID: "check-tolerates-added-route", Section: "2 CHECK", Level: Must, Kinds: onlyInterface,
		Requirement: "CHECK succeeds although a later plugin added a route.",
		Why:         "Chained plugins are there to change things.",
		check:       checkToleratesAddedRoute,
	},
	{
		ID: "check-tolerates-moved-route", Section: "2 CHECK", Level: Must, Kinds: onlyInterface,
		Requirement: "CHECK succeeds although a later plugin took a route of this one away, and out of the final result.",
		Why:         "Source-based routing moves routes into tables of its own.",
		check:       checkToleratesMovedRoute,
	},
}

// checked ends the check where the configuration's version has no CHECK.
func (p *probe) checked() (*attachment, result) {
	p.since("0.4.0", "CHECK")
	return p.added()
}

func checkAfterAdd(p *probe) {
	a, _ := p.checked()
	p.accepts(p.call("CHECK", a), "CHECK immediately after ADD")
}

func checkWithoutIPAM(p *probe) {
	p.since("0.4.0", "CHECK")
	p.delegate()
	a := p.attachment()
	alone := []option{unset("ipam")}
	for _, key := range []string{"isGateway", "isDefaultGateway", "ipMasq"} {
		// Keys that need an address make no sense without one.
		alone = append(alone, unset(key))
	}
	call := p.call("ADD", a, alone...)
	if call.Exit != 0 {
		p.inapplicable("the plugin makes no network without addresses: %s", complaint(call))
	}
	r, err := parseResult(call.Stdout)
	if err != nil {
		p.blocked("ADD printed no result: %v", err)
	}
	a.final = r.raw
	p.accepts(p.call("CHECK", a, alone...), "CHECK of a network without ipam")
}

// elsewhere is an address of the same network that the attachment does not
// have. One of another network might be a later plugin's.
func elsewhere(address string) (string, error) {
	prefix, err := netip.ParsePrefix(address)
	if err != nil {
		return "", err
	}
	other := prefix.Addr()
	for range 9 {
		if other = other.Next(); !prefix.Contains(other.Next()) {
			other = prefix.Masked().Addr().Next()
		}
	}
	if other == prefix.Addr() {
		return "", fmt.Errorf("%s has no room for another address", prefix)
	}
	return netip.PrefixFrom(other, prefix.Bits()).String(), nil
}

func checkConsultsAddresses(p *probe) {
	a, r := p.checked()
	if len(r.IPs) == 0 {
		p.inapplicable("the result has no addresses")
	}
	p.prepared(p.call("CHECK", a), "CHECK with the prevResult as it is")
	other, err := elsewhere(r.IPs[0].Address)
	p.must(err)
	ips := slices.Clone(r.raw["ips"].([]any))
	changed := maps.Clone(ips[0].(map[string]any))
	changed["address"] = other
	ips[0] = changed
	p.refuses(p.call("CHECK", a, set("prevResult", r.with("ips", ips))), "CHECK with a prevResult that has %s in place of %s", other, r.IPs[0].Address)
}

func checkConsultsInterfaces(p *probe) {
	a, r := p.checked()
	p.prepared(p.call("CHECK", a), "CHECK with the prevResult as it is")
	interfaces := []any{}
	found := false
	for i, known := range r.Interfaces {
		one := maps.Clone(r.raw["interfaces"].([]any)[i].(map[string]any))
		if known.Name == a.ifname && known.Sandbox != "" {
			one["name"], found = "gone0", true
		}
		interfaces = append(interfaces, one)
	}
	if !found {
		p.blocked("the result lists no interface %s in a sandbox", a.ifname)
	}
	p.refuses(p.call("CHECK", a, set("prevResult", r.with("interfaces", interfaces))), "CHECK with a prevResult whose interface gone0 does not exist")
}

func checkNeedsPrevResult(p *probe) {
	a, _ := p.checked()
	p.prepared(p.call("CHECK", a), "CHECK with a prevResult")
	p.refuses(p.call("CHECK", a, unset("prevResult")), "CHECK without a prevResult")
}

func checkToleratesAddedRoute(p *probe) {
	a, r := p.checked()
	l := p.containerLink(a)
	if !l.Up {
		p.inapplicable("%s is down, so no route can be added to it", a.ifname)
	}
	const dst = "203.0.113.0/24"
	added := route{Dst: netip.MustParsePrefix(dst), Link: l.Index, Table: mainTable, Scope: scopeLink}
	listed, via := map[string]any{"dst": dst}, ""
	for _, ip := range r.IPs {
		if gateway, err := netip.ParseAddr(ip.Gateway); err == nil && gateway.Is4() {
			added.Gateway, added.Scope, listed["gw"], via = gateway, scopeUniverse, ip.Gateway, " via "+ip.Gateway
		}
	}
	p.damage(a.netns, func() error { return addRoute(added) }, "ip route add %s%s dev %s", dst, via, a.ifname)
	known, _ := r.raw["routes"].([]any) // absent means none
	final := r.with("routes", append(slices.Clone(known), any(listed)))
	p.accepts(p.call("CHECK", a, set("prevResult", final)), "CHECK after a later plugin added a route and listed it")
	p.accepts(p.call("CHECK", a), "CHECK after a later plugin added a route and did not list it")
}

func checkToleratesMovedRoute(p *probe) {
	a, r := p.checked()
	moved, i := p.installed(a, r)
	p.damage(a.netns, func() error { return deleteRoute(moved) }, "ip route del %s dev %s", moved.Dst, a.ifname)
	final := r.with("routes", slices.Delete(slices.Clone(r.raw["routes"].([]any)), i, i+1))
	p.accepts(p.call("CHECK", a, set("prevResult", final)), "CHECK after a later plugin removed route %s from the container and from the result", moved.Dst)
}

// Numbers of rtnetlink(7), here so that the rows compile everywhere.
const (
	mainTable     = 254
	scopeUniverse = 0
	scopeLink     = 253
)

// installed returns a route of the result as the kernel has it, and its place
// in the result.
func (p *probe) installed(a *attachment, r result) (route, int) {
	l := p.containerLink(a)
	for _, have := range p.routesIn(a.netns) {
		for i, listed := range r.Routes {
			dst, err := netip.ParsePrefix(listed.Dst)
			if err == nil && dst.Masked() == have.Dst && have.Link == l.Index && !have.Kernel {
				return have, i
			}
		}
	}
	p.inapplicable("the result lists no route that is on %s", a.ifname)
	return route{}, 0
}
