package conformance

// delRows are section 2, "DEL".
var delRows = []Row{
	{
		ID: "del-removes", Section: "2 DEL", Level: Should, Kinds: onlyInterface,
		Requirement: "DEL deletes the interface CNI_IFNAME inside the container.",
		Why:         "A container that left a network could still be reached through it.",
		check:       delRemoves,
	},
	{
		ID: "del-leaves-nothing", Section: "2 DEL", Level: Should, Kinds: withState,
		Requirement: "DEL undoes what ADD did: no link, address, route, packet-filter object or file of the attachment is left.",
		Why:         "Nodes run for years; one leaked lease a pod ends in an exhausted network.",
		check:       func(p *probe) { p.leak(func(*attachment) {}) },
	},
	{
		ID: "del-without-prevresult", Section: "2 DEL", Level: Should, Kinds: withState,
		Requirement: "DEL without a prevResult succeeds, and undoes as much.",
		Why:         "A runtime that lost its cache has none, and nor has the DEL after a failed ADD.",
		check:       func(p *probe) { p.leak(func(*attachment) {}, unset("prevResult")) },
	},
	{
		ID: "del-without-netns", Section: "2 DEL", Level: Should, Kinds: withState,
		Requirement: "DEL without CNI_NETNS succeeds and frees what is outside of the namespace: leases, rules, host-side links.",
		Why:         "It is how runtimes clean up after a reboot.",
		check:       func(p *probe) { p.leak(func(*attachment) {}, with("CNI_NETNS", "")) },
	},
	{
		ID: "del-vanished-netns", Section: "2 DEL", Level: Should, Kinds: withState,
		Requirement: "DEL succeeds although the namespace no longer exists, and frees everything else.",
		Why:         "The process that held it may die before the runtime gets to DEL.",
		check:       func(p *probe) { p.leak(func(a *attachment) { p.vanish(a) }) },
	},
	{
		ID: "del-missing-interface", Section: "2 DEL", Level: Should, Kinds: []Kind{Interface, Chained},
		Requirement: "DEL succeeds although the interface no longer exists, and frees everything else.",
		Why:         "Links vanish with drivers, hotplug and by hand.",
		check:       func(p *probe) { p.leak(func(a *attachment) { p.unplug(a) }) },
	},
	{
		ID: "del-repeated", Section: "2 DEL", Level: Must, Kinds: everyKind,
		Requirement: "DEL of the same (CNI_CONTAINERID, CNI_IFNAME) may be repeated, and succeeds.",
		Why:         "Runtimes repeat DEL until it succeeds; one that never does keeps a pod in Terminating for ever.",
		check:       delRepeated,
	},
	{
		ID: "del-unknown", Section: "2 DEL", Level: Must, Kinds: everyKind,
		Requirement: "DEL of an attachment that never was succeeds.",
		Why:         "A runtime that crashed before ADD has to DEL as well: it cannot know.",
		check:       delUnknown,
	},
	{
		ID: "del-after-failed-add", Section: "3 Lifecycle & Ordering", Level: Must, Kinds: []Kind{Interface, Chained, Loopback},
		Requirement: "A DEL after a failed ADD, which every runtime sends, succeeds.",
		Why:         "Otherwise a pod that could not start cannot be removed either.",
		check:       delAfterFailedAdd,
	},
	{
		ID: "del-frees-reservation", Section: "2 DEL", Level: Should, Kinds: onlyIPAM,
		Requirement: "An IPAM plugin releases the address on DEL although the namespace no longer exists: the attachment can be added again.",
		Why:         "Pools run empty.",
		check:       delFreesReservation,
	},
}

// leak adds and deletes two attachments, with something happening to each
// before its DEL, and demands that the second leaves no more than the first.
func (p *probe) leak(before func(*attachment), options ...option) {
	attachments := []*attachment{p.attachment(), p.attachment()}
	var baseline footprint
	for i, a := range attachments {
		p.add(a)
		before(a)
		p.accepts(p.call("DEL", a, options...), "DEL")
		if i == 0 {
			baseline = p.settledFootprint()
			continue
		}
		if growth := p.settled(baseline); growth != "" {
			p.violated("after ADD and DEL of a second container there is more on the host than after the first: %s", growth)
		}
	}
}

// vanish removes a's namespace with all that is in it.
func (p *probe) vanish(a *attachment) {
	p.note("ip netns del %s", a.netns)
	p.must(p.host.removePod(a.netns))
}

// unplug removes a's interface.
func (p *probe) unplug(a *attachment) {
	if _, there := find(p.linksIn(a.netns), a.ifname); !there {
		p.inapplicable("there is no interface %s in the container", a.ifname)
	}
	p.damage(a.netns, func() error { return deleteLink(a.ifname) }, "ip link del %s", a.ifname)
}

func delRemoves(p *probe) {
	a, _ := p.added()
	p.accepts(p.call("DEL", a), "DEL")
	if _, there := find(p.linksIn(a.netns), a.ifname); there {
		p.violated("after DEL %s is still in %s", a.ifname, a.netns)
	}
}

func delRepeated(p *probe) {
	a, _ := p.added()
	p.prepared(p.call("DEL", a), "the first DEL")
	p.accepts(p.call("DEL", a), "the second DEL")
	p.vanish(a)
	p.accepts(p.call("DEL", a), "a third DEL, the namespace gone")
}

func delUnknown(p *probe) {
	p.accepts(p.call("DEL", p.attachment()), "DEL of an attachment that was never added")
}

func delAfterFailedAdd(p *probe) {
	a := p.attachment()
	p.vanish(a)
	if call := p.call("ADD", a); call.Exit == 0 {
		p.inapplicable("the plugin needs no namespace: ADD without one succeeds")
	}
	p.accepts(p.call("DEL", a), "DEL after an ADD that failed")
}

func delFreesReservation(p *probe) {
	a, _ := p.added()
	p.vanish(a)
	p.accepts(p.call("DEL", a), "DEL, the namespace gone")
	a.final = nil
	p.accepts(p.call("ADD", a), "ADD of the same attachment after DEL")
}
