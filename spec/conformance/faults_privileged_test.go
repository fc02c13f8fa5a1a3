//go:build privileged

package conformance

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// tinyNames are the names under which the test binary is a tiny plugin.
var tinyNames = map[string]Kind{"tiny-bridge": Interface, "tiny-ipam": IPAM, "tiny-firewall": Chained, "tiny-loopback": Loopback}

func TestMain(m *testing.M) {
	if kind, is := tinyNames[filepath.Base(os.Args[0])]; is {
		os.Exit(tinyMain(kind))
	}
	os.Exit(m.Run())
}

// caughtByDelegate are faults of an interface plugin that a correct IPAM plugin
// makes good: it refuses what the other let through. Seen from outside nothing
// is wrong then, so both have to be broken.
var caughtByDelegate = []string{"config-name-syntax", "env-required", "env-containerid-syntax", "env-ifname-unusable", "check-consults-addresses"}

// tinyTarget makes a directory with the tiny plugins, and returns the target
// for the one of that kind, which is broken by fault unless that is empty.
func tinyTarget(t *testing.T, kind Kind, fault string) Target {
	t.Helper()
	dir := t.TempDir()
	for name := range tinyNames {
		if err := placeSelf(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	target := Target{BinDir: dir, Conf: "testdata/tiny.conflist", Unsupported: map[string]map[string]any{}}
	for name := range tinyNames {
		target.Unsupported[name] = map[string]any{tinyUnsupported: "10Mbit"}
	}
	switch kind {
	case Interface:
		target.Plugin = "tiny-bridge"
	case IPAM:
		target.Plugin = "tiny-ipam"
	case Chained:
		target.Plugin = "tiny-firewall"
	case Loopback:
		target.Conf, target.Plugin = "testdata/loopback.conf", "tiny-loopback"
	}
	broken := []string{target.Plugin}
	if kind == Interface && slices.Contains(caughtByDelegate, fault) {
		broken = append(broken, "tiny-ipam")
	}
	for _, name := range broken {
		if err := os.WriteFile(filepath.Join(dir, name+".fault"), []byte(fault), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return target
}

// placeSelf makes the test binary appear under another name. A link saves a
// copy of it for each fault, but does not cross file systems.
func placeSelf(path string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if os.Link(self, path) == nil {
		return nil
	}
	from, err := os.Open(self)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	return errors.Join(err, to.Close())
}

// inapplicable are the rows that no configuration makes apply to a correct
// tiny plugin of that kind, with the reason; everything else must pass.
var inapplicable = map[string]Kind{
	// It delegates, and so needs CNI_PATH.
	"env-path-optional": Interface,
}

// TestRowsPassOnCorrectPlugins shows that no row asks for the impossible. The
// rows of section 3 let plugins run side by side, and with them the suite.
func TestRowsPassOnCorrectPlugins(t *testing.T) {
	eachPair(t, func(t *testing.T, row Row, kind Kind) {
		if testing.Short() && row.Section[0] != '3' {
			t.Skip("the suite does one thing after the other here")
		}
		o := tinyOutcome(t, row, kind, "")
		want := Pass
		if k, known := inapplicable[row.ID]; known && k == kind {
			want = NotApplicable
		}
		if o.Status != want {
			t.Errorf("on the correct plugin the row ends with %q, not %q\n%s", o.Status, want, o.Explanation())
		}
	})
}

// TestRowsCatchTheirFaults shows that every row can fail: the plugin that is
// broken in the one place the row is about is found out by it.
func TestRowsCatchTheirFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("plugins are processes of their own, which no race detector of this one sees")
	}
	eachPair(t, func(t *testing.T, row Row, kind Kind) {
		if k, known := inapplicable[row.ID]; known && k == kind {
			t.Skip("does not apply to the correct plugin either")
		}
		o := tinyOutcome(t, row, kind, row.ID)
		if o.Status != Fail {
			t.Errorf("the plugin violates exactly this row, which ends with %q\n%s", o.Status, o.Explanation())
		}
	})
}

// eachPair runs f for each row with each kind of plugin that it concerns.
func eachPair(t *testing.T, f func(*testing.T, Row, Kind)) {
	for _, kind := range Kinds {
		t.Run(string(kind), func(t *testing.T) {
			for _, row := range Rows() {
				if slices.Contains(row.Kinds, kind) {
					t.Run(row.ID, func(t *testing.T) { f(t, row, kind) })
				}
			}
		})
	}
}

func tinyOutcome(t *testing.T, row Row, kind Kind, fault string) Outcome {
	t.Helper()
	target, units, _, err := tinyTarget(t, kind, fault).prepare()
	if err != nil {
		t.Fatal(err)
	}
	o, err := runRow(t.Context(), target, units[0], row)
	if err != nil {
		t.Fatal(err)
	}
	return o
}
