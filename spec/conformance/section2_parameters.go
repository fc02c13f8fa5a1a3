package conformance

import "strings"

// parameterRows are section 2, "Parameters": the environment.
var parameterRows = []Row{
	{
		ID: "env-required", Section: "2 Parameters", Level: Must, Kinds: everyKind,
		Requirement: "The parameters that a command requires are demanded: CNI_CONTAINERID and CNI_IFNAME for ADD, DEL and CHECK, CNI_NETNS for ADD and CHECK.",
		Why:         "Without the ID a lease or rule has no owner and is never found again.",
		check:       envRequired,
	},
	{
		ID: "env-containerid-syntax", Section: "2 Parameters", Level: Must, Kinds: everyKind,
		Requirement: "CNI_CONTAINERID is not empty, starts with a letter or digit and goes on with those, '_', '.' or '-'; any other is refused.",
		Why:         "IDs become file names and rule comments.",
		check:       envContainerIDSyntax,
	},
	{
		ID: "env-ifname-unusable", Section: "2 Parameters", Level: Must, Kinds: []Kind{Interface},
		Requirement: "A CNI_IFNAME that the plugin cannot use is an error.",
		Why:         "The runtime would believe in an interface that has another name or does not exist.",
		check:       envIfnameUnusable,
	},
	{
		ID: "env-netns-unusable", Section: "2 Parameters", Level: Must, Kinds: withLinks,
		Requirement: "CNI_NETNS refers to the container's namespace; ADD to a path that is none is an error.",
		Why:         "The interface would end up elsewhere, at worst on the host.",
		check:       envNetnsUnusable,
	},
	{
		ID: "env-path-optional", Section: "2 Parameters", Level: Must, Kinds: everyKind,
		Requirement: "CNI_PATH is optional for ADD, DEL, CHECK and STATUS: a plugin that delegates nothing works without it.",
		Why:         "The caller of a plugin that needs no other has no path to give.",
		check:       envPathOptional,
	},
	{
		ID: "env-args-optional", Section: "2 Parameters", Level: Must, Kinds: everyKind,
		Requirement: "CNI_ARGS is optional: ADD, CHECK and DEL work without it and with an empty one.",
		Why:         "Few runtimes have arguments to pass.",
		check:       envArgsOptional,
	},
	{
		ID: "env-netns-optional-del", Section: "2 DEL", Level: Must, Kinds: everyKind,
		Requirement: "CNI_NETNS is optional for DEL: without it DEL succeeds.",
		Why:         "After a reboot or a crash there is no namespace left to name.",
		check:       envNetnsOptionalDel,
	},
	{
		ID: "env-gc-no-attachment", Section: "2 GC", Level: Must, Kinds: everyKind,
		Requirement: "GC requires CNI_COMMAND and CNI_PATH and nothing else.",
		Why:         "It is about a network, and there is no attachment to name.",
		check:       envGCNoAttachment,
	},
	{
		ID: "env-status-no-attachment", Section: "2 STATUS", Level: Must, Kinds: everyKind,
		Requirement: "STATUS works without any parameter of an attachment.",
		Why:         "A kubelet asks before the first pod exists.",
		check:       envStatusNoAttachment,
	},
}

func envRequired(p *probe) {
	a, _ := p.added()
	for _, missing := range []string{"CNI_CONTAINERID", "CNI_IFNAME", "CNI_NETNS"} {
		p.refuses(p.call("ADD", p.attachment(), without(missing)), "ADD without %s", missing)
		p.refuses(p.call("CHECK", a, without(missing)), "CHECK without %s", missing)
		if missing != "CNI_NETNS" {
			p.refuses(p.call("DEL", a, without(missing)), "DEL without %s", missing)
		}
	}
}

func envContainerIDSyntax(p *probe) {
	for _, id := range []string{"", "../conformance", "a/b", "-a", ".a", "_a", "a b", "a\nb", "ä"} {
		p.refuses(p.call("ADD", p.attachment(), with("CNI_CONTAINERID", id)), "ADD with CNI_CONTAINERID %q", id)
		p.refuses(p.call("DEL", p.attachment(), with("CNI_CONTAINERID", id)), "DEL with CNI_CONTAINERID %q", id)
	}
}

// envIfnameUnusable uses what the kernel takes for no name (dev_valid_name in
// net/core/dev.c), and one that is taken in every namespace.
func envIfnameUnusable(p *probe) {
	for _, name := range []string{"", ".", "..", "a/b", "a b", "a:b", strings.Repeat("x", 16), "lo"} {
		p.refuses(p.call("ADD", p.attachment(), with("CNI_IFNAME", name)), "ADD with CNI_IFNAME %q", name)
	}
}

func envNetnsUnusable(p *probe) {
	gone := p.attachment()
	p.vanish(gone)
	p.refuses(p.call("ADD", gone), "ADD with a CNI_NETNS that does not exist")
	p.refuses(p.call("ADD", p.attachment(), with("CNI_NETNS", "/proc/self/stat")), "ADD with a CNI_NETNS that is an ordinary file")
}

func envPathOptional(p *probe) {
	p.noDelegate()
	a := p.attachment()
	call := p.call("ADD", a, without("CNI_PATH"))
	p.accepts(call, "ADD without CNI_PATH")
	r, err := parseResult(call.Stdout)
	if err != nil {
		p.blocked("ADD printed no result: %v", err)
	}
	a.final = r.raw
	if p.atLeast("0.4.0") {
		p.accepts(p.call("CHECK", a, without("CNI_PATH")), "CHECK without CNI_PATH")
	}
	if p.atLeast("1.1.0") {
		p.accepts(p.call("STATUS", nil, without("CNI_PATH")), "STATUS without CNI_PATH")
	}
	p.accepts(p.call("DEL", a, without("CNI_PATH")), "DEL without CNI_PATH")
}

func envArgsOptional(p *probe) {
	for _, args := range []option{without("CNI_ARGS"), with("CNI_ARGS", "")} {
		a := p.attachment()
		call := p.call("ADD", a, args)
		p.accepts(call, "ADD")
		r, err := parseResult(call.Stdout)
		if err != nil {
			p.blocked("ADD printed no result: %v", err)
		}
		a.final = r.raw
		if p.atLeast("0.4.0") {
			p.accepts(p.call("CHECK", a, args), "CHECK")
		}
		p.accepts(p.call("DEL", a, args), "DEL")
	}
}

func envNetnsOptionalDel(p *probe) {
	a, _ := p.added()
	p.accepts(p.call("DEL", a, without("CNI_NETNS")), "DEL without CNI_NETNS")
	b, _ := p.added()
	p.accepts(p.call("DEL", b, with("CNI_NETNS", "")), "DEL with an empty CNI_NETNS")
}

func envGCNoAttachment(p *probe) {
	p.since("1.1.0", "GC")
	p.accepts(p.gc(nil, onlyEnv("CNI_COMMAND", "CNI_PATH")), "GC with CNI_COMMAND and CNI_PATH alone")
}

func envStatusNoAttachment(p *probe) {
	p.since("1.1.0", "STATUS")
	p.accepts(p.call("STATUS", nil, onlyEnv("CNI_COMMAND", "CNI_PATH")), "STATUS with CNI_COMMAND and CNI_PATH alone")
}
