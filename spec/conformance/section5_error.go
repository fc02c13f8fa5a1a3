package conformance

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// fieldRows are section 5, "Error", code 2. Which field a plugin does not support
// nobody can see from outside: its author may say one ([Target.Unsupported]), and
// any error with that code is held to the rest.
var fieldRows = []Row{
	{
		ID: "error-code-field", Section: "5 Error, code 2", Level: Should, Kinds: everyKind,
		Requirement: "A field of the configuration that the plugin does not support is reported with code 2.",
		Why:         "A plugin that goes on without it leaves a network that is not what was asked for.",
		check:       errorCodeField,
	},
	{
		ID: "error-names-field", Section: "5 Error, code 2", Level: Must, Kinds: everyKind,
		Requirement: "An error with code 2 contains key and value of the unsupported field.",
		Why:         "The administrator has to find it in a file that may be made of many.",
		check:       errorNamesField,
	},
}

// A field is a key of the configuration with a value; of the ipam section where
// an IPAM plugin is tested.
type field struct {
	key   string
	value any
}

func (f field) String() string { return fmt.Sprintf("%q: %s", f.key, text(f.value)) }

// with asks for the field.
func (p *probe) withField(f field) option {
	if p.unit.Kind == IPAM {
		return set("ipam", p.ipamWith(f.key, f.value))
	}
	return set(f.key, f.value)
}

// unsupported are the fields that the author says the plugin does not support.
func (p *probe) unsupported() []field { return fields(p.target.Unsupported[p.unit.Type]) }

func fields(section map[string]any) (all []field) {
	for _, key := range slices.Sorted(maps.Keys(section)) {
		all = append(all, field{key, section[key]})
	}
	return all
}

// doubtful are fields that a plugin may say it does not support: one that it
// cannot know, and each of its own with a value of no meaning.
func (p *probe) doubtful() []field {
	const meaningless = "conformance-value"
	all := []field{{"conformanceUnknown", meaningless}}
	section := p.unit.config
	if p.unit.Kind == IPAM {
		section, _ = section["ipam"].(map[string]any) // absent: there is nothing to doubt
	}
	for _, own := range fields(section) {
		if !slices.Contains([]string{"cniVersion", "name", "type", "ipam"}, own.key) {
			all = append(all, field{own.key, meaningless})
		}
	}
	return all
}

func errorCodeField(p *probe) {
	declared := p.unsupported()
	if len(declared) == 0 {
		p.inapplicable("nobody says what the plugin does not support: --unsupported does")
	}
	for _, f := range declared {
		p.refusesWith(2, p.call("ADD", p.attachment(), p.withField(f)), "ADD with %s, which is said to be unsupported", f)
	}
}

func errorNamesField(p *probe) {
	calls := p.failures()
	for _, f := range slices.Concat(p.unsupported(), p.doubtful()) {
		calls = append(calls, p.call("ADD", p.attachment(), p.withField(f)))
	}
	reported := 0
	for _, call := range calls {
		e, err := parseError(call.Stdout)
		if err != nil || *e.Code != 2 {
			continue // another row's business
		}
		reported++
		var config map[string]any
		if err := json.Unmarshal([]byte(call.Stdin), &config); err != nil {
			p.violated("code 2 is about a field, and what was read is no JSON: %q", e.Msg)
		}
		if message := e.Msg + " " + e.Details; !namesField(message, config) {
			p.violated("a field is unsupported, and the error names none with its value: %q", message)
		}
	}
	if reported == 0 {
		p.inapplicable("the plugin does not use code 2 for anything that was tried (--unsupported says what to try)")
	}
}

// namesField tells whether the message has some key of the configuration, at any
// depth, together with its value.
func namesField(message string, config any) bool {
	switch config := config.(type) {
	case map[string]any:
		for key, value := range config {
			if strings.Contains(message, key) && namesValue(message, value) || namesField(message, value) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(config, func(element any) bool { return namesField(message, element) })
	}
	return false
}

// namesValue tells whether everything that the value is made of is in the message;
// how an object or a list is written is the plugin's choice.
func namesValue(message string, value any) bool {
	switch value := value.(type) {
	case map[string]any:
		for _, element := range value {
			if !namesValue(message, element) {
				return false
			}
		}
		return true
	case []any:
		return !slices.ContainsFunc(value, func(element any) bool { return !namesValue(message, element) })
	case string:
		return strings.Contains(message, value)
	}
	return strings.Contains(message, text(value))
}
