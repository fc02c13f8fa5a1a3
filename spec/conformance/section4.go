package conformance

import (
	"path/filepath"
	"reflect"
	"slices"
	"strings"
)

// delegationRows are section 4: what a plugin owes the plugins it delegates to.
var delegationRows = []Row{
	{
		ID: "delegate-config", Section: "4 Delegated Plugin protocol", Level: Must, Kinds: onlyInterface,
		Requirement: "A delegated plugin gets the complete configuration, for every command, not just its own section.",
		Why:         "It needs the network's name for its state, and runtimeConfig and args for requested addresses.",
		check:       delegateConfig,
	},
	{
		ID: "delegate-environment", Section: "4 Delegated Plugin protocol", Level: Must, Kinds: onlyInterface,
		Requirement: "A delegated plugin gets all the environment variables that the plugin got.",
		Why:         "CNI_ARGS carries requested addresses; proxies and credentials come this way too.",
		check:       delegateEnvironment,
	},
	{
		ID: "delegate-lookup", Section: "4 Delegated plugin execution", Level: Should, Kinds: onlyInterface,
		Requirement: "The delegated plugin is looked up in the directories of CNI_PATH, in order.",
		Why:         "Administrators put their own ahead of the distribution's.",
		check:       delegateLookup,
	},
	{
		ID: "delegate-missing", Section: "4 Delegated plugin execution", Level: Must, Kinds: onlyInterface,
		Requirement: "ADD fails where the plugin to delegate to is in no directory of CNI_PATH.",
		Why:         "A pod without an address would count as connected.",
		check:       delegateMissing,
	},
	{
		ID: "delegate-stderr", Section: "4 Delegated plugin execution", Level: Should, Kinds: onlyInterface,
		Requirement: "What the delegated plugin writes on stderr comes out of the plugin's.",
		Why:         "It is the only place where the delegate can explain itself.",
		check:       delegateStderr,
	},
	{
		ID: "delegate-add-error", Section: "4 Delegated plugin execution", Level: Must, Kinds: onlyInterface,
		Requirement: "ADD fails where the delegated ADD fails.",
		Why:         "The pod has no address.",
		check:       delegateAddError,
	},
	{
		ID: "delegate-add-undo", Section: "4 Delegated plugin execution", Level: Should, Kinds: onlyInterface,
		Requirement: "Where the delegated ADD fails, the delegated plugin is executed again with DEL before ADD returns.",
		Why:         "It may have reserved something before it failed.",
		check:       delegateAddUndo,
	},
	{
		ID: "delegate-del", Section: "4 Delegated plugin execution", Level: Must, Kinds: onlyInterface,
		Requirement: "DEL executes DEL of the delegated plugin, with and without a namespace.",
		Why:         "The lease stays otherwise.",
		check:       delegateDel,
	},
	{
		ID: "delegate-del-error", Section: "4 Delegated plugin execution", Level: Should, Kinds: onlyInterface,
		Requirement: "An error of the delegated DEL is an error of DEL.",
		Why:         "The runtime repeats a DEL that failed; one that claims success it forgets.",
		check:       delegateDelError,
	},
	{
		ID: "delegate-check", Section: "2 CHECK", Level: Must, Kinds: onlyInterface,
		Requirement: "CHECK executes CHECK of the delegated plugin.",
		Why:         "Only that one knows whether the address is still reserved.",
		check:       delegateCheck,
	},
	{
		ID: "delegate-check-error", Section: "2 CHECK", Level: Should, Kinds: onlyInterface,
		Requirement: "An error of the delegated CHECK is passed on.",
		Why:         "A lost reservation is a pod about to lose its address.",
		check:       delegateCheckError,
	},
	{
		ID: "delegate-result-applied", Section: "4 Plugin Delegation", Level: Must, Kinds: onlyInterface,
		Requirement: "The addresses and routes that the IPAM plugin determines are applied, and come back in the result.",
		Why:         "Packets for the address that was reserved would go nowhere.",
		check:       delegateResultApplied,
	},
}

func delegateConfig(p *probe) {
	p.standIn()
	a := p.attachment()
	extra := set("conformanceUnknown", map[string]any{"kept": []any{"as", 1.0, nil}})
	for _, command := range []string{"ADD", "CHECK", "DEL"} {
		if command == "CHECK" && !p.atLeast("0.4.0") {
			continue
		}
		call := p.call(command, a, extra)
		p.prepared(call, command+" with a key that the plugin does not know")
		p.complete(command, call)
		if command == "ADD" {
			r, err := parseResult(call.Stdout)
			if err != nil {
				p.blocked("ADD printed no result: %v", err)
			}
			a.final = r.raw
		}
	}
}

// complete demands that the delegate got what the plugin got in call.
func (p *probe) complete(command string, call *Call) {
	var sent map[string]any
	if _, err := oneObject(call.Stdin, &sent); err != nil {
		p.blocked("the request's configuration: %v", err)
	}
	got := p.received(command)
	for key, value := range sent {
		// A plugin may have nothing to pass on as prevResult.
		if !reflect.DeepEqual(got.config[key], value) {
			p.violated("%s gets %q = %s on %s, the plugin got %s", p.unit.ipam, key, text(got.config[key]), command, text(value))
		}
	}
}

func delegateEnvironment(p *probe) {
	p.standIn()
	call := p.call("ADD", p.attachment(), with("CNI_ARGS", "IgnoreUnknown=1;CONFORMANCE=1"), with(passedOn, passedOnValue))
	p.prepared(call, "ADD with CNI_ARGS")
	got := p.received("ADD")
	for _, variable := range call.Env {
		key, value, _ := strings.Cut(variable, "=")
		if there, set := got.env[key]; !set || there != value {
			p.violated("%s gets %s=%q on ADD, the plugin got %q", p.unit.ipam, key, there, value)
		}
	}
}

func delegateLookup(p *probe) {
	p.standIn()
	p.path = "/nowhere:" + p.path
	p.prepared(p.call("ADD", p.attachment()), "ADD with two directories of three in CNI_PATH holding the IPAM plugin")
	p.received("ADD")
}

func delegateMissing(p *probe) {
	p.delegate()
	p.refuses(p.call("ADD", p.attachment(), with("CNI_PATH", "/nowhere")), "ADD with a CNI_PATH that holds no %s", p.unit.ipam)
}

func delegateStderr(p *probe) {
	p.standIn()
	call := p.call("ADD", p.attachment())
	p.prepared(call, "ADD")
	if !strings.Contains(call.Stderr, standInMark) {
		p.violated("%s wrote %q on stderr, the plugin's stderr is %q", p.unit.ipam, standInMark, call.Stderr)
	}
}

func delegateAddError(p *probe) {
	p.standIn()
	p.delegateFails("ADD")
	p.refuses(p.call("ADD", p.attachment()), "ADD with an IPAM plugin that fails")
}

func delegateAddUndo(p *probe) {
	p.standIn()
	p.delegateFails("ADD")
	p.call("ADD", p.attachment())
	var commands []string
	for _, d := range p.delegatedCalls() {
		commands = append(commands, d.command)
	}
	added := slices.Index(commands, "ADD")
	if added < 0 {
		p.blocked("%s was not executed with ADD at all", p.unit.ipam)
	}
	if !slices.Contains(commands[added:], "DEL") {
		p.violated("%s failed on ADD and was executed with %v only", p.unit.ipam, commands)
	}
}

func delegateDel(p *probe) {
	p.standIn()
	a, _ := p.added()
	p.delegatedCalls()
	p.prepared(p.call("DEL", a), "DEL")
	p.received("DEL")
	b, _ := p.added()
	p.delegatedCalls()
	p.prepared(p.call("DEL", b, with("CNI_NETNS", "")), "DEL without a namespace")
	p.received("DEL")
}

func delegateDelError(p *probe) {
	p.standIn()
	a, _ := p.added()
	p.delegateFails("DEL")
	p.refuses(p.call("DEL", a), "DEL with an IPAM plugin that fails")
	p.delegateRecovers("DEL")
	p.accepts(p.call("DEL", a), "DEL repeated when the IPAM plugin works again")
}

func delegateCheck(p *probe) {
	p.since("0.4.0", "CHECK")
	p.standIn()
	a, _ := p.added()
	p.delegatedCalls()
	p.prepared(p.call("CHECK", a), "CHECK")
	p.received("CHECK")
}

func delegateCheckError(p *probe) {
	p.since("0.4.0", "CHECK")
	p.standIn()
	a, _ := p.healthy()
	p.delegateFails("CHECK")
	p.refuses(p.call("CHECK", a), "CHECK with an IPAM plugin that fails")
}

// determined is what the IPAM plugin gives an attachment of its own.
func (p *probe) determined() result {
	ipam := p.unit.stage
	ipam.binary = p.ipamBinary()
	p.count++
	a := &attachment{n: p.count, id: containerID(p.count), netns: podDir + "/none", ifname: "eth0"}
	call := p.run(p.request(ipam, "ADD", a))
	p.prepared(call, "ADD of the IPAM plugin")
	r, err := parseResult(call.Stdout)
	if err != nil {
		p.blocked("the IPAM plugin printed no result: %v", err)
	}
	return r
}

func (p *probe) ipamBinary() string { return filepath.Join(p.target.BinDir, p.unit.ipam) }

func delegateResultApplied(p *probe) {
	p.standIn()
	wanted := p.determined()
	p.delegateAnswers("ADD", text(wanted.raw))
	a, r := p.added()
	l := p.containerLink(a)
	for _, ip := range wanted.IPs {
		if !slices.ContainsFunc(r.IPs, func(i resultIP) bool { return i.Address == ip.Address }) {
			p.violated("%s determined %s, which is not in the result", p.unit.ipam, ip.Address)
		}
		if !slices.ContainsFunc(p.addressesIn(a.netns), func(i address) bool { return i.Link == l.Index && i.Prefix.String() == ip.Address }) {
			p.violated("%s determined %s, which is not on %s", p.unit.ipam, ip.Address, a.ifname)
		}
	}
	for _, wantedRoute := range wanted.Routes {
		if !slices.ContainsFunc(r.Routes, func(i resultRoute) bool { return i.Dst == wantedRoute.Dst }) {
			p.violated("%s determined a route to %s, which is not in the result", p.unit.ipam, wantedRoute.Dst)
		}
		if l.Up && !slices.ContainsFunc(p.routesIn(a.netns), func(i route) bool { return i.Dst.String() == wantedRoute.Dst }) {
			p.violated("%s determined a route to %s, which is not in the container", p.unit.ipam, wantedRoute.Dst)
		}
	}
}
