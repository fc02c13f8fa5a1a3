package conformance

import (
	"fmt"
	"slices"
)

// versionRows are section 2, "VERSION", and section 5, "VERSION Success".
var versionRows = []Row{
	{
		ID: "version-result", Section: "2 VERSION", Level: Should, Kinds: everyKind,
		Requirement: "VERSION prints a version result on stdout, with nothing but CNI_COMMAND in the environment.",
		Why:         "Runtimes ask it to choose the version they speak.",
		check:       versionResult,
	},
	{
		ID: "version-keys", Section: "5 VERSION Success", Level: Must, Kinds: everyKind,
		Requirement: "The result has supportedVersions, a list of strings, and the version of the configuration that works is on it.",
		Why:         "libcni refuses to run a plugin that does not list the configuration's version.",
		check:       versionKeys,
	},
	{
		ID: "version-echo", Section: "5 VERSION Success", Level: Must, Kinds: everyKind,
		Requirement: "The result's cniVersion is the one given on input.",
		Why:         "The caller of an older version decodes the answer by it.",
		check:       versionEcho,
	},
}

// versionObject is the answer to VERSION.
type versionObject struct {
	CNIVersion        string   `json:"cniVersion"`
	SupportedVersions []string `json:"supportedVersions"`
}

func (p *probe) askVersion(input string) (versionObject, *Call, error) {
	var v versionObject
	call := p.call("VERSION", nil, onlyEnv("CNI_COMMAND"), stdin(fmt.Sprintf(`{"cniVersion":%q}`, input)))
	_, err := oneObject(call.Stdout, &v)
	return v, call, err
}

func versionResult(p *probe) {
	_, call, err := p.askVersion("1.0.0")
	p.accepts(call, "VERSION")
	if err != nil {
		p.violated("VERSION prints no result: %v", err)
	}
}

func versionKeys(p *probe) {
	configured := p.version()
	v, call, err := p.askVersion(configured)
	p.accepts(call, "VERSION")
	if err != nil {
		p.violated("VERSION prints no result with strings in supportedVersions: %v", err)
	}
	if !slices.Contains(v.SupportedVersions, configured) {
		p.violated("supportedVersions is %q, and does not hold %s, the version of the configuration", v.SupportedVersions, configured)
	}
}

func versionEcho(p *probe) {
	known, _, err := p.askVersion("1.0.0")
	if err != nil {
		p.violated("VERSION prints no result: %v", err)
	}
	for _, input := range known.SupportedVersions {
		v, call, err := p.askVersion(input)
		p.accepts(call, "VERSION with cniVersion %s on input", input)
		if err != nil {
			p.violated("VERSION with cniVersion %s on input prints no result: %v", input, err)
		}
		if v.CNIVersion != input {
			p.violated("VERSION with cniVersion %s on input answers with cniVersion %q", input, v.CNIVersion)
		}
	}
}

// supports asks the plugin.
func (p *probe) supports(wanted string) bool {
	v, _, err := p.askVersion(wanted)
	return err == nil && slices.Contains(v.SupportedVersions, wanted)
}
