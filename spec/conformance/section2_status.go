package conformance

// statusRows are section 2, "STATUS".
var statusRows = []Row{
	{
		ID: "status-ready", Section: "2 STATUS", Level: Must, Kinds: everyKind,
		Requirement: "STATUS exits with 0 when the plugin is ready to serve ADD, as the ADD after it shows.",
		Why:         "A node whose network never gets ready takes no pods.",
		check:       statusReady,
	},
	{
		ID: "status-delegates", Section: "2 STATUS", Level: Must, Kinds: onlyInterface,
		Requirement: "STATUS executes STATUS of the plugins that ADD delegates to.",
		Why:         "Without addresses no pod can start, however healthy the bridge.",
		check:       statusDelegates,
	},
	{
		ID: "status-delegate-error", Section: "2 STATUS", Level: Should, Kinds: onlyInterface,
		Requirement: "An error of a delegated plugin's STATUS is an error of STATUS.",
		Why:         "The runtime talks to no IPAM plugin itself.",
		check:       statusDelegateError,
	},
	{
		ID: "status-exhausted", Section: "2 STATUS", Level: Should, Kinds: []Kind{Interface, IPAM},
		Requirement: "STATUS fails when the limited resource that ADD needs, here the addresses, is exhausted.",
		Why:         "The scheduler would go on sending pods that cannot start.",
		check:       func(p *probe) { p.refuses(p.exhausted(), "STATUS when no ADD can be served") },
	},
	{
		ID: "status-error-on-stdout", Section: "2 STATUS", Level: Must, Kinds: []Kind{Interface, IPAM},
		Requirement: "A STATUS that fails prints an error object on stdout.",
		Why:         "Its message is what the node's condition shows.",
		check:       statusErrorOnStdout,
	},
	{
		ID: "status-code", Section: "2 STATUS", Level: Should, Kinds: []Kind{Interface, IPAM},
		Requirement: "A STATUS that fails because ADD cannot be served has code 50, or 51 where existing containers suffer as well.",
		Why:         "Anything else says that STATUS itself did not work.",
		check:       statusCode,
	},
	{
		ID: "status-not-relied-on", Section: "2 STATUS", Level: Must, Kinds: everyKind,
		Requirement: "The plugin does not rely on STATUS: ADD works without one before it, and all commands work after one, also one that failed.",
		Why:         "Most runtimes never call it.",
		check:       statusNotReliedOn,
	},
}

func statusReady(p *probe) {
	p.since("1.1.0", "STATUS")
	call := p.call("STATUS", nil)
	p.prepared(p.call("ADD", p.attachment()), "ADD")
	p.accepts(call, "STATUS before an ADD that works")
	p.accepts(p.call("STATUS", nil), "STATUS after it")
}

func statusDelegates(p *probe) {
	p.since("1.1.0", "STATUS")
	p.standIn()
	p.prepared(p.call("STATUS", nil), "STATUS")
	p.received("STATUS")
}

func statusDelegateError(p *probe) {
	p.since("1.1.0", "STATUS")
	p.standIn()
	p.delegateFails("STATUS")
	p.refuses(p.call("STATUS", nil), "STATUS with an IPAM plugin that is not available")
}

// enough is how many attachments the suite makes to exhaust a pool: all of an
// IPv4 /24, which takes seconds.
const enough = 256

// exhausted adds until no more can be added, and returns what STATUS then says.
func (p *probe) exhausted() *Call {
	p.since("1.1.0", "STATUS")
	if p.unit.Kind == Interface {
		p.delegate()
	}
	p.prepared(p.call("STATUS", nil), "STATUS before the pool is exhausted")
	stage := p.unit.stage
	if p.unit.Kind == Interface {
		// Taking the addresses from the IPAM plugin directly is as good and
		// needs no namespace each.
		stage.binary = p.ipamBinary()
	}
	last, kept := (*Call)(nil), len(p.events)
	for range enough {
		p.count++
		last = p.run(p.request(stage, "ADD", &attachment{n: p.count, id: containerID(p.count), netns: podDir + "/none", ifname: "eth0"}))
		p.events = p.events[:kept] // hundreds of the same
		if last.Exit != 0 {
			p.note("ADD of %d attachments, until it fails", p.count)
			p.events = append(p.events, Event{Call: last})
			return p.call("STATUS", nil)
		}
	}
	p.inapplicable("%d attachments do not exhaust the pool: give a configuration with a smaller one to see this checked", enough)
	return nil
}

// unavailable is a STATUS of a plugin that cannot serve ADD.
func (p *probe) unavailable() *Call {
	p.since("1.1.0", "STATUS")
	if p.unit.Kind == IPAM {
		return p.exhausted()
	}
	p.standIn()
	p.delegateFails("STATUS")
	return p.call("STATUS", nil)
}

func statusErrorOnStdout(p *probe) {
	call := p.unavailable()
	if call.Exit == 0 {
		p.inapplicable("STATUS does not fail where ADD cannot be served, which is another row's business")
	}
	if _, err := parseError(call.Stdout); err != nil {
		p.violated("STATUS fails and prints no single error object on stdout: %v. It is %q", err, call.Stdout)
	}
}

func statusCode(p *probe) {
	call := p.unavailable()
	if call.Exit == 0 {
		p.violated("STATUS does not fail where ADD cannot be served, so it has no code at all")
	}
	e, err := parseError(call.Stdout)
	if err != nil {
		p.violated("STATUS fails and prints no error object: %v", err)
	}
	if *e.Code != 50 && *e.Code != 51 {
		p.violated("STATUS fails with code %d, not 50 or 51: %s", *e.Code, e.Msg)
	}
}

func statusNotReliedOn(p *probe) {
	a := p.attachment()
	p.accepts(p.call("ADD", a), "ADD without a STATUS before it")
	p.since("1.1.0", "STATUS")
	if p.unit.ipam != "" {
		p.standIn()
		p.delegateFails("STATUS")
	}
	p.call("STATUS", nil)
	b := p.attachment()
	p.accepts(p.call("ADD", b), "ADD after STATUS")
	p.accepts(p.call("DEL", b), "DEL after STATUS")
	p.accepts(p.call("DEL", a), "DEL after STATUS")
}
