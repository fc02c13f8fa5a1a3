package conformance

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"slices"
)

// addRows are section 2, "ADD".
var addRows = []Row{
	{
		ID: "add-creates-interface", Section: "2 ADD", Level: Should, Kinds: withLinks,
		Requirement: "ADD creates the interface CNI_IFNAME inside the container at CNI_NETNS (loopback: brings up lo there).",
		Why:         "It is what the runtime asked for; the same interface on the host would be a hole.",
		check:       addCreatesInterface,
	},
	{
		ID: "add-prints-result", Section: "2 ADD", Level: Must, Kinds: everyKind,
		Requirement: "A successful ADD prints one Success object, and nothing else, on stdout.",
		Why:         "The runtime learns the pod's addresses from it, and the next plugin gets it as prevResult.",
		check:       addPrintsResult,
	},
	{
		ID: "add-existing-interface", Section: "2 ADD", Level: Must, Kinds: onlyInterface,
		Requirement: "ADD returns an error where an interface of that name already exists in the container.",
		Why:         "Two attachments would share an interface, and the first DEL would take it from both.",
		check:       addExistingInterface,
	},
	{
		ID: "add-prevresult-kept", Section: "2 ADD", Level: Must, Kinds: []Kind{Interface, Chained, Loopback},
		Requirement: "With a prevResult, ADD passes it through or modifies it: its interfaces, addresses, routes and DNS stay in the result.",
		Why:         "The last plugin's result is all that the runtime keeps; what one plugin drops, CHECK and DEL of the others miss.",
		check:       addPrevResultKept,
	},
	{
		ID: "add-prevresult-equivalent", Section: "5 ADD Success", Level: Must, Kinds: onlyChained,
		Requirement: "A plugin that changed nothing in the container prints a result equivalent to the prevResult.",
		Why:         "A result that says otherwise makes CHECK fail for what is in order.",
		check:       addPrevResultEquivalent,
	},
	{
		ID: "add-adjusts-in-place", Section: "2 ADD", Level: Should, Kinds: onlyChained,
		Requirement: "A chained plugin adjusts the interface that is there: it is still there after ADD, with the addresses in the result.",
		Why:         "The plugins before it will CHECK and DEL that interface.",
		check:       addAdjustsInPlace,
	},
	{
		ID: "add-second-interface", Section: "2 ADD", Level: Must, Kinds: withState,
		Requirement: "A container may be added again with another interface name; (CNI_CONTAINERID, CNI_IFNAME) names the attachment: DEL of one leaves the other.",
		Why:         "Pods with two networks interfaces lose both, or leak one, if state is kept by container alone.",
		check:       addSecondInterface,
	},
	{
		ID: "add-applies-addresses", Section: "2 ADD", Level: Must, Kinds: onlyInterface,
		Requirement: "The addresses in the result are those of the interface, and the ones that an IPAM plugin determined are among them.",
		Why:         "The runtime publishes the result's addresses; packets go to the interface's.",
		check:       addAppliesAddresses,
	},
}

func addCreatesInterface(p *probe) {
	before := p.linksIn("")
	a, _ := p.added()
	l, found := find(p.linksIn(a.netns), a.ifname)
	if !found {
		p.violated("after ADD there is no interface %s in %s", a.ifname, a.netns)
	}
	if p.unit.Kind == Loopback && !l.Up {
		p.violated("after ADD lo is down in %s", a.netns)
	}
	if _, there := find(before, a.ifname); there {
		return
	}
	if _, there := find(p.linksIn(""), a.ifname); there {
		p.violated("after ADD there is an interface %s on the host", a.ifname)
	}
}

func addPrintsResult(p *probe) {
	call := p.call("ADD", p.attachment())
	p.prepared(call, "ADD")
	r, err := parseResult(call.Stdout)
	if err != nil {
		p.violated("ADD prints no single Success object: %v. It is %q", err, call.Stdout)
	}
	if r.CNIVersion == "" {
		p.violated("the result has no cniVersion")
	}
}

func addExistingInterface(p *probe) {
	a, _ := p.added()
	b := p.attachmentIn(a.netns, a.ifname)
	p.refuses(p.call("ADD", b), "ADD of another container to a namespace that has an %s already", a.ifname)
}

// foreign is the result of an imaginary plugin earlier in the list, as a
// loopback plugin would give it.
func (p *probe) foreign(a *attachment) map[string]any {
	return map[string]any{
		"cniVersion": p.version(),
		"interfaces": []any{map[string]any{"name": "lo", "mac": "00:00:00:00:00:00", "sandbox": a.netns}},
		"ips":        []any{map[string]any{"address": "127.0.0.1/8", "interface": 0}},
	}
}

func addPrevResultKept(p *probe) {
	a := p.attachment()
	if a.prev == nil {
		a.prev = p.foreign(a)
	}
	r := p.add(a)
	var previous result
	p.must(decode(a.prev, &previous))
	for _, i := range previous.Interfaces {
		if !slices.ContainsFunc(r.Interfaces, func(j resultInterface) bool { return i.Name == j.Name && i.Sandbox == j.Sandbox }) {
			p.violated("interface %s of the prevResult is missing in the result", i.Name)
		}
	}
	for _, i := range previous.IPs {
		if !slices.ContainsFunc(r.IPs, func(j resultIP) bool { return i.Address == j.Address }) {
			p.violated("address %s of the prevResult is missing in the result", i.Address)
		}
	}
	for _, i := range previous.Routes {
		if !slices.ContainsFunc(r.Routes, func(j resultRoute) bool { return i.Dst == j.Dst && i.Gateway == j.Gateway }) {
			p.violated("route to %s of the prevResult is missing in the result", i.Dst)
		}
	}
	if !previous.DNS.empty() && r.DNS.empty() {
		p.violated("dns of the prevResult is missing in the result")
	}
}

// decode reads a map as the type of v.
func decode(object map[string]any, v any) error {
	b, err := json.Marshal(object)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}

// inside is everything in a pod that a result can speak of.
func (p *probe) inside(netns string) []any {
	routes := slices.DeleteFunc(p.routesIn(netns), func(r route) bool { return r.Kernel || r.linkLocal() })
	return []any{p.linksIn(netns), slices.DeleteFunc(p.addressesIn(netns), address.linkLocal), routes}
}

func addPrevResultEquivalent(p *probe) {
	a := p.attachment()
	before := p.inside(a.netns)
	r := p.add(a)
	if !reflect.DeepEqual(before, p.inside(a.netns)) {
		p.inapplicable("ADD changed links, addresses or routes of the container")
	}
	if got, want := normal(r.raw), normal(a.prev); !reflect.DeepEqual(got, want) {
		p.violated("nothing in the container was changed, the prevResult is %s and the result is %s", text(want), text(got))
	}
}

// normal removes what makes no difference: empty lists and objects.
func normal(v any) any {
	switch v := v.(type) {
	case map[string]any:
		kept := map[string]any{}
		for key, value := range v {
			if value = normal(value); value != nil {
				kept[key] = value
			}
		}
		if len(kept) > 0 {
			return kept
		}
		return nil
	case []any:
		if len(v) == 0 {
			return nil
		}
		kept := make([]any, len(v))
		for i := range v {
			kept[i] = normal(v[i])
		}
		return kept
	case string:
		if v == "" {
			return nil
		}
	}
	return v
}

// text is v for a message.
func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func addAdjustsInPlace(p *probe) {
	a := p.attachment()
	if _, found := find(p.linksIn(a.netns), a.ifname); !found {
		p.blocked("the plugins before it make no interface %s", a.ifname)
	}
	r := p.add(a)
	l, found := find(p.linksIn(a.netns), a.ifname)
	if !found {
		p.violated("%s was there before ADD, and is not after it", a.ifname)
	}
	for _, ip := range r.IPs {
		prefix, err := netip.ParsePrefix(ip.Address)
		if err == nil && !slices.Contains(p.addressesIn(a.netns), address{l.Index, prefix}) {
			p.violated("address %s of the result is not on %s after ADD", ip.Address, a.ifname)
		}
	}
}

func addSecondInterface(p *probe) {
	first, _ := p.added()
	second := &attachment{n: first.n + 1, id: first.id, netns: first.netns, ifname: "net1"}
	p.count++
	p.runBefore(second)
	call := p.call("ADD", second)
	p.accepts(call, "ADD of the same container with another interface name")
	r, err := parseResult(call.Stdout)
	if err != nil {
		p.blocked("ADD printed no result: %v", err)
	}
	second.final = r.raw
	p.accepts(p.call("DEL", second), "DEL of the second interface")
	if p.unit.Kind == Interface {
		if _, there := find(p.linksIn(first.netns), first.ifname); !there {
			p.violated("DEL of %s removed %s too", second.ifname, first.ifname)
		}
	}
	if p.atLeast("0.4.0") {
		p.accepts(p.call("CHECK", first), "CHECK of %s after DEL of %s", first.ifname, second.ifname)
	}
}

func addAppliesAddresses(p *probe) {
	a, r := p.added()
	if len(r.IPs) == 0 {
		p.inapplicable("the result has no addresses")
	}
	l := p.containerLink(a)
	there := p.addressesIn(a.netns)
	for _, ip := range r.IPs {
		prefix, err := netip.ParsePrefix(ip.Address)
		if err != nil {
			p.violated("address %q of the result is not in CIDR notation: %v", ip.Address, err)
		}
		if !slices.Contains(there, address{l.Index, prefix}) {
			p.violated("the result has %s, and %s has %v", prefix, a.ifname, there)
		}
	}
}
