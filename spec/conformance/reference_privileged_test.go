//go:build privileged

package conformance

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mascri/mascri/test/differential"
)

var update = flag.Bool("update", false, "write what the reference plugins violate to testdata/reference.violations")

// TestReferencePlugins holds the reference plugins to the specification. What
// they violate is known: a change here is a change of the suite.
func TestReferencePlugins(t *testing.T) {
	if testing.Short() {
		t.Skip("plugins are processes of their own, which no race detector of this one sees")
	}
	dir, err := differential.InstallReference(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var violated []string
	for _, conf := range []string{"testdata/reference.conflist", "testdata/reference-loopback.conf"} {
		report, err := Run(t.Context(), Target{BinDir: dir, Conf: conf}, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, plugin := range report.Plugins {
			for _, o := range plugin.Outcomes {
				if o.Violates(May) {
					violated = append(violated, fmt.Sprintf("%s %s %s %s", plugin.Type, o.Row.ID, o.Row.Level, o.Status))
					t.Log(plugin.Type, o.Explanation())
				}
			}
		}
	}
	const expectation = "testdata/reference.violations"
	if *update {
		if err := os.WriteFile(expectation, []byte(strings.Join(violated, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	expected, err := os.ReadFile(expectation)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(settle(string(expected), violated), violated); diff != "" {
		t.Errorf("what the reference plugins violate is not what was expected (-expected +found):\n%s", diff)
	}
}

// settle returns the expected lines. One marked "sometimes" is a race, and is
// expected only where it was found.
func settle(expected string, found []string) []string {
	var lines []string
	for line := range strings.Lines(expected) {
		line, sometimes := strings.CutSuffix(strings.TrimSpace(line), " sometimes")
		if !sometimes || slices.Contains(found, line) {
			lines = append(lines, line)
		}
	}
	return lines
}

// TestOurPlugins demands everything of the plugins of this repository.
func TestOurPlugins(t *testing.T) {
	if testing.Short() {
		t.Skip("plugins are processes of their own, which no race detector of this one sees")
	}
	dir := t.TempDir()
	build(t, exec.Command("make", "-C", "../..", "plugins", "BIN="+dir))
	Test(t, Target{BinDir: dir, Conf: "testdata/ours.conflist", Require: May, Unsupported: withoutVLANs(t)})
	Test(t, Target{BinDir: dir, Conf: "testdata/reference-loopback.conf", Require: May})
}

// withoutVLANs is what netplug does not support where the kernel's bridges cannot
// filter VLANs.
func withoutVLANs(t *testing.T) map[string]map[string]any {
	t.Helper()
	out, err := exec.Command("unshare", "-n", "ip", "link", "add", "br0", "type", "bridge", "vlan_filtering", "1").CombinedOutput()
	switch {
	case err == nil:
		return nil
	case !strings.Contains(string(out), "not supported"):
		t.Fatalf("%v: %s", err, out)
	}
	return map[string]map[string]any{"netplug": {"vlan": 5, "vlanTrunk": []any{map[string]any{"minID": 100, "maxID": 200}}}}
}

func build(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
}
