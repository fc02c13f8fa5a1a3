package conformance

import (
	"reflect"
	"strings"
)

// configurationRows are section 1: what the keys of a configuration mean.
var configurationRows = []Row{
	{
		ID: "config-name-syntax", Section: "1 Configuration format", Level: Must, Kinds: everyKind,
		Requirement: "A network name starts with a letter or digit, goes on with those, '_', '.' or '-', and holds nothing that a path may not: ADD refuses any other.",
		Why:         "Plugins use the name as a directory; ../ in it writes outside of the state directory.",
		check:       configNameSyntax,
	},
	{
		ID: "config-ipam-type-syntax", Section: "1 Plugin configuration objects", Level: Must, Kinds: onlyInterface,
		Requirement: "ipam.type is a file name: one with a path in it is refused.",
		Why:         "Whoever may write a network configuration could otherwise have any program run as root.",
		check:       configIPAMTypeSyntax,
	},
	{
		ID: "config-unknown-fields", Section: "1 Plugin configuration objects", Level: May, Kinds: everyKind,
		Requirement: "A plugin may refuse fields it does not know, by an error of its own; otherwise it works as without them.",
		Why:         "A crash or a half-made attachment is neither.",
		check:       configUnknownFields,
	},
	{
		ID: "config-reserved-keys", Section: "1 Plugin configuration objects", Level: Must, Kinds: everyKind,
		Requirement: "The keys that the runtime generates (runtimeConfig, args, cni.dev/…) are accepted.",
		Why:         "Runtimes insert them for every plugin; one that refuses them works with no runtime.",
		check:       configReservedKeys,
	},
	{
		ID: "config-ipmasq", Section: "1 Well-known keys", Level: Should, Kinds: onlyInterface,
		Requirement: "Where ipMasq is supported, true sets up masquerading on the host and false does not.",
		Why:         "Without it pods cannot reach anything that has no route back to them; uninvited, it hides their addresses.",
		check:       configIPMasq,
	},
	{
		ID: "config-dns", Section: "1 Well-known keys", Level: Should, Kinds: onlyInterface,
		Requirement: "Where dns is consumed, the result carries its nameservers, domain, search and options, in order.",
		Why:         "The runtime writes the pod's resolv.conf from it; order is priority.",
		check:       configDNS,
	},
	{
		ID: "config-older-version", Section: "1 Version considerations", Level: Must, Kinds: everyKind,
		Requirement: "Within a major version the format stays compatible: the same configuration works as version 1.0.0.",
		Why:         "Most configurations on disk are older than the plugin.",
		check:       configOlderVersion,
	},
}

func configNameSyntax(p *probe) {
	for _, name := range []string{"../conformance", "a/b", "-conformance", ".conformance", "con formance"} {
		p.refuses(p.call("ADD", p.attachment(), set("name", name)), "ADD to a network called %q", name)
	}
}

func configIPAMTypeSyntax(p *probe) {
	p.delegate()
	for _, prefix := range []string{"./", "../" + lastElement(p.target.BinDir) + "/", p.target.BinDir + "/"} {
		pluginType := prefix + p.unit.ipam
		p.refuses(p.call("ADD", p.attachment(), set("ipam", p.ipamWith("type", pluginType))), "ADD with ipam.type %q", pluginType)
	}
}

func lastElement(path string) string { return path[strings.LastIndex(path, "/")+1:] }

// ipamWith is the configuration's ipam section with one key changed.
func (p *probe) ipamWith(key string, value any) map[string]any {
	changed := map[string]any{}
	section, _ := p.unit.config["ipam"].(map[string]any) // absent: starts from nothing
	for k, v := range section {
		changed[k] = v
	}
	changed[key] = value
	return changed
}

func configUnknownFields(p *probe) {
	call := p.call("ADD", p.attachment(), set("conformanceUnknown", "value"))
	if call.Exit == 0 && call.Trouble == "" {
		return
	}
	if _, err := parseError(call.Stdout); err != nil {
		p.violated("ADD with an unknown key neither works nor ends with an error object: %v", err)
	}
}

func configReservedKeys(p *probe) {
	options := []option{set("args", map[string]any{"cni": map[string]any{}}), set("cni.dev/conformance", true)}
	a := p.attachment()
	if p.target.runtimeConfig(p.unit.stage, a.n) == nil {
		options = append(options, set("runtimeConfig", map[string]any{}))
	}
	p.accepts(p.call("ADD", a, options...), "ADD with the reserved keys runtimeConfig, args and cni.dev/conformance")
}

func configIPMasq(p *probe) {
	if p.unit.config["ipMasq"] != true {
		p.inapplicable("the configuration does not set ipMasq")
	}
	p.added(set("ipMasq", false))
	if p.filter().masquerade {
		p.violated("with ipMasq false the host rewrites source addresses after ADD")
	}
	p.added()
	if !p.filter().masquerade {
		p.violated("with ipMasq true no rule of the host rewrites source addresses after ADD")
	}
}

func configDNS(p *probe) {
	asked := resultDNS{
		Nameservers: []string{"192.0.2.53", "192.0.2.54"}, Domain: "conformance.example",
		Search: []string{"b.example", "a.example"}, Options: []string{"ndots:2"},
	}
	_, r := p.added(set("dns", map[string]any{
		"nameservers": asked.Nameservers, "domain": asked.Domain, "search": asked.Search, "options": asked.Options,
	}))
	if r.DNS.empty() {
		p.inapplicable("the plugin does not consume dns: its result says nothing about it")
	}
	if !reflect.DeepEqual(r.DNS, asked) {
		p.violated("the configuration asks for dns %+v, the result has %+v", asked, r.DNS)
	}
}

func configOlderVersion(p *probe) {
	p.since("1.1.0", "a version to be compatible with")
	const older = "1.0.0"
	if !p.supports(older) {
		p.inapplicable("the plugin does not list %s among its supportedVersions", older)
	}
	a := p.attachment()
	if a.prev != nil {
		a.prev["cniVersion"] = older
	}
	call := p.call("ADD", a, set("cniVersion", older))
	p.accepts(call, "ADD with cniVersion %s", older)
	r, err := parseResult(call.Stdout)
	if err != nil {
		p.violated("ADD with cniVersion %s prints no result: %v", older, err)
	}
	a.final = r.raw
	p.accepts(p.call("CHECK", a, set("cniVersion", older)), "CHECK with cniVersion %s", older)
	p.accepts(p.call("DEL", a, set("cniVersion", older)), "DEL with cniVersion %s", older)
}
