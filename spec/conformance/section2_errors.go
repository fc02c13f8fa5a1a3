package conformance

import (
	"slices"
	"strings"
)

// errorRows are section 2, "Errors", and section 5, "Error": how a plugin
// says that something did not work.
var errorRows = []Row{
	{
		ID: "error-exit-code", Section: "2 Errors", Level: Must, Kinds: everyKind,
		Requirement: "The exit code is 0 on success and something else on failure: never 0 with an error object, never another with a result.",
		Why:         "It is what runtimes branch on.",
		check:       errorExitCode,
	},
	{
		ID: "error-object", Section: "2 Errors", Level: Should, Kinds: everyKind,
		Requirement: "A plugin that fails prints one error object, and nothing else, on stdout.",
		Why:         "Runtimes show its message to the user; for anything else they can only quote what they cannot read.",
		check:       errorObjectPrinted,
	},
	{
		ID: "error-keys", Section: "5 Error", Level: Should, Kinds: everyKind,
		Requirement: "The error object has cniVersion (the version in use), code (a number) and msg; details is a string.",
		Why:         "The caller decodes it by the version that it finds there.",
		check:       errorKeys,
	},
	{
		ID: "error-reserved-codes", Section: "5 Error", Level: Must, Kinds: everyKind,
		Requirement: "Codes below 100 are used with the meaning the specification gives them only.",
		Why:         "Runtimes act on them: retry on 11, no DEL after 3.",
		check:       errorReservedCodes,
	},
	{
		ID: "error-code-version", Section: "5 Error, code 1", Level: Should, Kinds: everyKind,
		Requirement: "A configuration of a version that the plugin does not support is refused with code 1.",
		Why:         "It tells \"wrong plugin\" from \"wrong configuration\".",
		check:       errorCodeVersion,
	},
	{
		ID: "error-code-environment", Section: "5 Error, code 4", Level: Should, Kinds: everyKind,
		Requirement: "A necessary variable that is missing or invalid is reported with code 4.",
		Why:         "The fault is the runtime's, and no change of the configuration helps.",
		check:       errorCodeEnvironment,
	},
	{
		ID: "error-names-variable", Section: "5 Error, code 4", Level: Must, Kinds: everyKind,
		Requirement: "An error with code 4 contains the names of the invalid variables.",
		Why:         "Otherwise nobody can tell which of six it was.",
		check:       errorNamesVariable,
	},
	{
		ID: "error-code-command", Section: "5 Error, code 4", Level: Should, Kinds: everyKind,
		Requirement: "A CNI_COMMAND that there is not is refused, with code 4.",
		Why:         "A plugin that ignores unknown commands claims to have done what later versions ask for.",
		check:       errorCodeCommand,
	},
	{
		ID: "error-code-decode", Section: "5 Error, code 6", Level: Should, Kinds: everyKind,
		Requirement: "A configuration that is no JSON is reported with code 6.",
		Why:         "It tells a broken file from a wrong value.",
		check:       errorCodeDecode,
	},
	{
		ID: "error-code-config", Section: "5 Error, code 7", Level: Should, Kinds: everyKind,
		Requirement: "A configuration that fails validation, here one without a name, is reported with code 7.",
		Why:         "It tells the administrator whose turn it is.",
		check:       errorCodeConfig,
	},
}

// notJSON is an input that every command but VERSION has to refuse.
const notJSON = `{"cniVersion": "1.1.0", "name": `

func errorExitCode(p *probe) {
	a := p.attachment()
	call := p.call("ADD", a)
	p.accepts(call, "ADD with a valid request")
	if _, err := parseError(call.Stdout); err == nil {
		p.violated("ADD exits with code 0 and prints an error object")
	}
	for _, command := range []string{"ADD", "DEL"} {
		p.refuses(p.call(command, p.attachment(), stdin(notJSON)), "%s with a configuration that is no JSON", command)
	}
}

// failures provokes errors for reasons of all kinds.
func (p *probe) failures() []*Call {
	calls := []*Call{
		p.call("ADD", p.attachment(), stdin(notJSON)),
		p.call("ADD", p.attachment(), without("CNI_CONTAINERID")),
		p.call("ADD", p.attachment(), set("cniVersion", "99.0.0")),
		p.call("ADD", p.attachment(), unset("name")),
	}
	if p.unit.Kind == Interface {
		calls = append(calls, p.call("ADD", p.attachment(), with("CNI_NETNS", podDir+"/none")))
	}
	if p.unit.Kind == Chained {
		calls = append(calls, p.call("ADD", p.attachment(), unset("prevResult")))
	}
	if p.unit.Kind == IPAM {
		calls = append(calls, p.call("ADD", p.attachment(), set("ipam", map[string]any{})))
	}
	if p.unit.ipam != "" {
		calls = append(calls, p.call("ADD", p.attachment(), set("ipam", p.ipamWith("type", "conformance-none"))))
	}
	return slices.DeleteFunc(calls, func(call *Call) bool { return call.Exit == 0 })
}

func errorObjectPrinted(p *probe) {
	for _, call := range p.failures() {
		if _, err := parseError(call.Stdout); err != nil {
			p.violated("a failing ADD prints no single error object on stdout: %v. It is %q", err, call.Stdout)
		}
	}
}

func errorKeys(p *probe) {
	call := p.call("ADD", p.attachment(), without("CNI_CONTAINERID"))
	p.refuses(call, "ADD without CNI_CONTAINERID")
	e, err := parseError(call.Stdout)
	if err != nil {
		p.violated("ADD without CNI_CONTAINERID prints no error object: %v", err)
	}
	if e.CNIVersion != p.unit.config["cniVersion"] {
		p.violated("the request's cniVersion is %q, the error object's is %q", p.unit.config["cniVersion"], e.CNIVersion)
	}
}

// knownCodes are the reserved ones with a meaning. Code 8, a namespace that is
// unusable, is missing in the specification's table and known to libcni
// (types.ErrInvalidNetNS).
var knownCodes = []uint{1, 2, 3, 4, 5, 6, 7, 8, 11, 50, 51}

func errorReservedCodes(p *probe) {
	for _, call := range p.failures() {
		if e, err := parseError(call.Stdout); err == nil && *e.Code < 100 && !slices.Contains(knownCodes, *e.Code) {
			p.violated("error code %d is reserved, and has no meaning yet: %s", *e.Code, e.Msg)
		}
	}
}

// refusesWith demands an error of that code.
func (p *probe) refusesWith(code uint, call *Call, what string, args ...any) {
	p.refuses(call, what, args...)
	e, err := parseError(call.Stdout)
	if err != nil {
		p.violated(what+": no error object is printed: %v", append(args, err)...)
	}
	if *e.Code != code {
		p.violated(what+": the error has code %d, not %d: %s", append(args, *e.Code, code, e.Msg)...)
	}
}

func errorCodeVersion(p *probe) {
	p.refusesWith(1, p.call("ADD", p.attachment(), set("cniVersion", "99.0.0")), "ADD with cniVersion 99.0.0")
}

func errorCodeEnvironment(p *probe) {
	for _, variable := range []string{"CNI_CONTAINERID", "CNI_IFNAME", "CNI_NETNS"} {
		p.refusesWith(4, p.call("ADD", p.attachment(), without(variable)), "ADD without %s", variable)
	}
	p.refusesWith(4, p.call("ADD", p.attachment(), with("CNI_CONTAINERID", "a/b")), "ADD with CNI_CONTAINERID a/b")
}

func errorNamesVariable(p *probe) {
	reported := 0
	for _, variable := range []string{"CNI_CONTAINERID", "CNI_IFNAME", "CNI_NETNS"} {
		call := p.call("ADD", p.attachment(), without(variable))
		e, err := parseError(call.Stdout)
		if err != nil || *e.Code != 4 {
			continue // another row's business
		}
		reported++
		if text := e.Msg + " " + e.Details; !strings.Contains(text, variable) {
			p.violated("%s is missing and the error does not name it: %q", variable, text)
		}
	}
	if reported == 0 {
		p.inapplicable("the plugin never uses code 4")
	}
}

func errorCodeCommand(p *probe) {
	p.refusesWith(4, p.call("CONFORM", p.attachment()), "CNI_COMMAND=CONFORM")
}

func errorCodeDecode(p *probe) {
	p.refusesWith(6, p.call("ADD", p.attachment(), stdin(notJSON)), "ADD with a configuration that is no JSON")
}

func errorCodeConfig(p *probe) {
	p.refusesWith(7, p.call("ADD", p.attachment(), unset("name")), "ADD with a configuration without a name")
}
