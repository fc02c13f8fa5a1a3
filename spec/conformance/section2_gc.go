package conformance

// gcRows are section 2, "GC".
var gcRows = []Row{
	{
		ID: "gc-nothing-stale", Section: "2 GC", Level: Should, Kinds: everyKind,
		Requirement: "GC completes without error, also where nothing was ever added, and when repeated.",
		Why:         "Runtimes run it at every start.",
		check:       gcNothingStale,
	},
	{
		ID: "gc-removes-stale", Section: "2 GC", Level: Should, Kinds: withState,
		Requirement: "GC removes what is left of attachments that are not in cni.dev/valid-attachments.",
		Why:         "It is the only way back for what a crash left behind.",
		check:       gcRemovesStale,
	},
	{
		ID: "gc-removes-by-ifname", Section: "2 GC", Level: Should, Kinds: withState,
		Requirement: "An attachment is a container ID and an interface name: GC removes one of a container's two if only the other is valid.",
		Why:         "State kept by container ID alone outlives the interface that it was for.",
		check:       gcRemovesByIfname,
	},
	{
		ID: "gc-keeps-valid", Section: "2 GC", Level: Must, Kinds: everyKind,
		Requirement: "GC keeps everything of the attachments that are in cni.dev/valid-attachments.",
		Why:         "They are running containers.",
		check:       gcKeepsValid,
	},
	{
		ID: "gc-forwards", Section: "2 GC", Level: Must, Kinds: onlyInterface,
		Requirement: "GC is forwarded to the plugins that are delegated to.",
		Why:         "The leases are theirs.",
		check:       gcForwards,
	},
	{
		ID: "gc-reports-delegate-error", Section: "4 Delegated plugin execution", Level: Should, Kinds: onlyInterface,
		Requirement: "An error of a delegated plugin's GC is reported.",
		Why:         "Otherwise nobody learns that nothing was collected.",
		check:       gcReportsDelegateError,
	},
	{
		ID: "gc-continues", Section: "2 GC", Level: Should, Kinds: onlyInterface,
		Requirement: "After an error GC continues, and removes as much as it can.",
		Why:         "One broken lease would keep all the rest for ever.",
		check:       gcContinues,
	},
	{
		ID: "gc-no-output", Section: "2 GC", Level: Should, Kinds: everyKind,
		Requirement: "A GC that succeeds prints nothing on stdout.",
		Why:         "The specification leaves nothing there to read.",
		check:       gcNoOutput,
	},
}

func gcNothingStale(p *probe) {
	p.since("1.1.0", "GC")
	p.accepts(p.gc(nil), "GC of a network that never had an attachment")
	a, _ := p.added()
	p.accepts(p.gc([]*attachment{a}), "GC with nothing stale")
	p.accepts(p.gc([]*attachment{a}), "GC with nothing stale, repeated")
}

// gcRemovesStale compares with a host on which the stale attachment never was.
// Its namespace is gone by then, as the specification lets a plugin assume.
func gcRemovesStale(p *probe) {
	p.since("1.1.0", "GC")
	a, stale := p.attachment(), p.attachment()
	p.add(a)
	baseline := p.settledFootprint()
	p.add(stale)
	p.vanish(stale)
	if growth := p.settled(baseline); growth == "" {
		p.inapplicable("the attachment keeps nothing outside of its namespace")
	}
	p.accepts(p.gc([]*attachment{a}), "GC with one of two attachments valid")
	if growth := p.settled(baseline); growth != "" {
		p.violated("after GC there is still something of the stale attachment: %s", growth)
	}
}

func gcRemovesByIfname(p *probe) {
	p.since("1.1.0", "GC")
	first := p.attachment()
	second := &attachment{n: first.n + 1, id: first.id, netns: first.netns, ifname: "net1"}
	p.count++
	p.runBefore(second)
	p.add(first)
	baseline := p.settledFootprint()
	p.prepared(p.call("ADD", second), "ADD of the same container with another interface name")
	if _, there := find(p.linksIn(second.netns), second.ifname); there {
		p.damage(second.netns, func() error { return deleteLink(second.ifname) }, "ip link del %s", second.ifname)
	}
	if growth := p.settled(baseline); growth == "" {
		p.inapplicable("the attachment keeps nothing outside of its namespace")
	}
	p.accepts(p.gc([]*attachment{first}), "GC with %s valid and %s not", first.ifname, second.ifname)
	if growth := p.settled(baseline); growth != "" {
		p.violated("after GC there is still something of %s: %s", second.ifname, growth)
	}
}

func gcKeepsValid(p *probe) {
	p.since("1.1.0", "GC")
	a, _ := p.added()
	b, _ := p.added()
	before, inside := p.settledFootprint(), text(p.inside(a.netns))
	p.accepts(p.gc([]*attachment{a, b}), "GC with all attachments valid")
	if lost := p.settledFootprint().growth(before); lost != "" {
		p.violated("GC removed what belongs to valid attachments; before it there was %s", lost)
	}
	if text(p.inside(a.netns)) != inside {
		p.violated("GC changed the namespace of a valid attachment")
	}
	p.accepts(p.call("CHECK", a), "CHECK of a valid attachment after GC")
	p.accepts(p.call("CHECK", b), "CHECK of a valid attachment after GC")
}

func gcForwards(p *probe) {
	p.since("1.1.0", "GC")
	p.standIn()
	p.prepared(p.gc(nil), "GC")
	p.received("GC")
}

func gcReportsDelegateError(p *probe) {
	p.since("1.1.0", "GC")
	p.standIn()
	p.delegateFails("GC")
	p.refuses(p.gc(nil), "GC with an IPAM plugin that fails")
}

// gcContinues looks at the plugin's own leftovers: files are the IPAM
// plugin's, and stay because that one is told to fail.
func gcContinues(p *probe) {
	p.since("1.1.0", "GC")
	p.standIn()
	a, _ := p.added()
	baseline := p.settledFootprint()
	stale, _ := p.added()
	own := p.settledFootprint()
	delete(own, "files")
	if baseline.growth(own) == "" {
		p.inapplicable("the attachment keeps nothing on the host but its lease")
	}
	p.delegateFails("GC")
	p.vanish(stale)
	p.gc([]*attachment{a})
	left := p.settledFootprint()
	delete(left, "files")
	if growth := baseline.growth(left); growth != "" {
		p.violated("after a GC whose delegate failed there is still something of the stale attachment: %s", growth)
	}
}

func gcNoOutput(p *probe) {
	p.since("1.1.0", "GC")
	p.added()
	call := p.gc(nil)
	p.prepared(call, "GC")
	if call.Stdout != "" {
		p.violated("GC prints on stdout: %q", call.Stdout)
	}
}
