package podnet

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"text/template"
)

// builtinSource is the Source of the built-in network.
const builtinSource = "built-in"

// BuiltinNetwork is the name of the network of DefaultConflist.
const BuiltinNetwork = "mascri"

// builtinSubnet is where pods live as long as no kubelet assigned a pod CIDR.
var builtinSubnet = netip.MustParsePrefix("10.22.0.0/16")

// BuiltinTemplate is the built-in network as a Config.Template.
//
//go:embed fallback.conflist.tmpl
var BuiltinTemplate string

// TemplateData is what a template of a configuration list is filled with.
type TemplateData struct {
	PodCIDRs []netip.Prefix // the node's; 10.22.0.0/16 where it has none
	// Readdress: no pod has an address outside of PodCIDRs, so that the bridge
	// may change its own, which is such a pod's gateway.
	Readdress bool
}

// DefaultConflist is the built-in network: a bridge with addresses from the pod
// CIDRs, masqueraded towards the outside, with host ports. Without pod CIDRs it
// uses 10.22.0.0/16.
func DefaultConflist(podCIDRs []netip.Prefix) ([]byte, error) {
	return fillTemplate(BuiltinTemplate, TemplateData{PodCIDRs: podCIDRs})
}

// fillTemplate executes a text/template of a configuration list.
func fillTemplate(text string, data TemplateData) ([]byte, error) {
	data.PodCIDRs = orBuiltin(data.PodCIDRs)
	t, err := template.New("conflist").Option("missingkey=error").Parse(text)
	if err != nil {
		return nil, fmt.Errorf("template of the CNI configuration: %w", err)
	}
	var out bytes.Buffer
	if err := t.Execute(&out, data); err != nil {
		return nil, fmt.Errorf("template of the CNI configuration: %w", err)
	}
	if !json.Valid(out.Bytes()) {
		return nil, fmt.Errorf("template of the CNI configuration: filled with %v it is not JSON", data)
	}
	return out.Bytes(), nil
}

func orBuiltin(podCIDRs []netip.Prefix) []netip.Prefix {
	if len(podCIDRs) == 0 {
		return []netip.Prefix{builtinSubnet}
	}
	return podCIDRs
}

// ParsePodCIDRs reads the kubelet's form of a node's pod CIDRs: one, or one of
// each family separated by a comma ("10.1.2.0/24,fd00:1:2::/64").
func ParsePodCIDRs(text string) ([]netip.Prefix, error) {
	var prefixes []netip.Prefix
	for part := range strings.SplitSeq(text, ",") {
		prefix, err := netip.ParsePrefix(strings.TrimSpace(part))
		if err != nil {
			return nil, fmt.Errorf("pod CIDR %q: expected ADDRESS/BITS: %w", part, err)
		}
		if masked := prefix.Masked(); masked != prefix {
			return nil, fmt.Errorf("pod CIDR %s has host bits set: did you mean %s?", prefix, masked)
		}
		sameFamily := func(p netip.Prefix) bool { return p.Addr().Is4() == prefix.Addr().Is4() }
		if slices.ContainsFunc(prefixes, sameFamily) {
			return nil, fmt.Errorf("pod CIDRs %q: at most one of each address family", text)
		}
		prefixes = append(prefixes, prefix)
	}
	return prefixes, nil
}
