package podnet

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestDefaultConflist(t *testing.T) {
	for _, c := range []struct {
		podCIDRs []netip.Prefix
		says     []string
	}{
		{nil, []string{"10.22.0.0/16"}},
		{[]netip.Prefix{netip.MustParsePrefix("10.1.2.0/24")}, []string{`[[{"subnet":"10.1.2.0/24"}]]`}},
		{[]netip.Prefix{netip.MustParsePrefix("10.1.2.0/24"), netip.MustParsePrefix("fd00:1::/64")},
			[]string{`[[{"subnet":"10.1.2.0/24"}],[{"subnet":"fd00:1::/64"}]]`}},
	} {
		network, err := FromTemplate(BuiltinTemplate, TemplateData{PodCIDRs: c.podCIDRs})
		if err != nil {
			t.Errorf("%v: %v", c.podCIDRs, err)
		}
		compact := strings.ReplaceAll(string(network.Conflist), " ", "")
		for _, word := range c.says {
			if !strings.Contains(compact, word) {
				t.Errorf("%v: %s does not say %s", c.podCIDRs, compact, word)
			}
		}
	}
}

func TestTemplateThatIsBroken(t *testing.T) {
	for template, says := range map[string]string{
		"{{.PodCIDRs":       "template",
		"{{.Nonsense}}":     "Nonsense",
		"not JSON":          "not JSON",
		`{"name": "x"}`:     "plugins",
		`{"name": "../x" }`: "../x",
	} {
		if _, err := FromTemplate(template, TemplateData{}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want an error that says %q", template, err, says)
		}
	}
}

func TestParsePodCIDRs(t *testing.T) {
	for text, want := range map[string]string{
		"10.1.2.0/24":               "10.1.2.0/24",
		"10.1.2.0/24,fd00:1::/64":   "10.1.2.0/24 fd00:1::/64",
		"fd00:1::/64, 10.1.2.0/24 ": "fd00:1::/64 10.1.2.0/24",
	} {
		prefixes, err := ParsePodCIDRs(text)
		var got []string
		for _, p := range prefixes {
			got = append(got, p.String())
		}
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%q: %v, %v, want %s", text, got, err, want)
		}
	}
	for text, says := range map[string]string{
		"": "ADDRESS/BITS", "10.1.2.0": "ADDRESS/BITS", "10.1.2.0/33": "ADDRESS/BITS", "10.1.2.3/24": "10.1.2.0/24",
		"10.1.0.0/16,10.2.0.0/16": "at most one", "10.1.0.0/16,": "ADDRESS/BITS",
	} {
		if _, err := ParsePodCIDRs(text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want an error that says %q", text, err, says)
		}
	}
}

func FuzzParsePodCIDRs(f *testing.F) {
	for _, seed := range []string{"10.1.2.0/24", "10.1.2.0/24,fd00::/64", ",", "::ffff:10.0.0.0/104"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		prefixes, err := ParsePodCIDRs(text)
		if err != nil {
			return
		}
		if len(prefixes) == 0 || len(prefixes) > 2 {
			t.Errorf("%q: %v", text, prefixes)
		}
		if _, err := FromTemplate(BuiltinTemplate, TemplateData{PodCIDRs: prefixes}); err != nil {
			t.Errorf("%q: the built-in network does not take it: %v", text, err)
		}
	})
}

func TestPodCIDRsAreKept(t *testing.T) {
	config := testConfig(t)
	cidrs := []netip.Prefix{netip.MustParsePrefix("10.1.2.0/24"), netip.MustParsePrefix("fd00:1::/64")}
	if err := newManager(t, config).SetPodCIDRs(cidrs); err != nil {
		t.Fatal(err)
	}
	if got := newManager(t, config).PodCIDRs(); !slices.Equal(got, cidrs) {
		t.Errorf("after a restart: %v, want %v", got, cidrs)
	}
	file := filepath.Join(config.StateDir, runtimeConfigFile)
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(config); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("with a broken file: %v, want an error that names it", err)
	}
}

// The bridge's address may change with the pod CIDRs, unless it is the gateway of
// a pod that is left from before.
func TestReaddressing(t *testing.T) {
	m := newManager(t, testConfig(t))
	m.config.Template = BuiltinTemplate
	forced := func() bool {
		network, err := m.Network()
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(network.Conflist), "forceAddress")
	}
	pod := func(address string) Result {
		return Result{Network: BuiltinNetwork, Addresses: []netip.Prefix{netip.MustParsePrefix(address)}}
	}
	m.keep("old", pod("10.22.0.2/16"))
	if !forced() {
		t.Error("without a pod CIDR, not for a pod in the built-in one")
	}
	if err := m.SetPodCIDRs([]netip.Prefix{netip.MustParsePrefix("10.1.2.0/24")}); err != nil {
		t.Fatal(err)
	}
	m.keep("new", pod("10.1.2.2/24"))
	if forced() {
		t.Error("an old pod would lose its gateway")
	}
	m.forget("old")
	if !forced() {
		t.Error("not after the last old pod has gone")
	}
}
