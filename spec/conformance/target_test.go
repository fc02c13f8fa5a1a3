package conformance

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// binaries makes a directory of executables that do nothing.
func binaries(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func configuration(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "net.conflist")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

const list = `{"cniVersion":"1.1.0","name":"n","plugins":[
	{"type":"bridge","ipam":{"type":"host-local"},"mtu":1400},
	{"type":"portmap","capabilities":{"portMappings":true,"mac":false}}]}`

// TestUnits: every plugin of the list in its place, and the IPAM plugin that
// one of them delegates to.
func TestUnits(t *testing.T) {
	target := Target{BinDir: binaries(t, "bridge", "host-local", "portmap"), Conf: configuration(t, list)}
	units, err := target.units()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, u := range units {
		got = append(got, u.Type+" "+string(u.Kind))
	}
	if want := []string{"bridge interface", "host-local ipam", "portmap chained"}; !slices.Equal(got, want) {
		t.Errorf("units are %q, want %q", got, want)
	}
	if n := len(units[2].before); n != 1 {
		t.Errorf("%d plugins come before portmap, want 1", n)
	}
	config := units[2].config
	if config["name"] != "n" || config["cniVersion"] != "1.1.0" || config["capabilities"] != nil {
		t.Errorf("portmap's request configuration is %v: name and cniVersion must be inserted and capabilities removed", config)
	}
	if args := target.runtimeConfig(units[2].stage, 1); args["portMappings"] == nil || args["mac"] != nil {
		t.Errorf("portmap's runtimeConfig is %v: it has to hold what is declared, and only that", args)
	}
}

// TestUnusableTargets: what is wrong is said before anything runs.
func TestUnusableTargets(t *testing.T) {
	all := binaries(t, "bridge", "host-local", "portmap")
	for name, c := range map[string]struct {
		target Target
		says   string
	}{
		"no file":            {Target{BinDir: all, Conf: "none"}, "none"},
		"no JSON":            {Target{BinDir: all, Conf: configuration(t, "{")}, "decode"},
		"no name":            {Target{BinDir: all, Conf: configuration(t, `{"cniVersion":"1.1.0","type":"bridge"}`)}, "name and cniVersion"},
		"no plugin":          {Target{BinDir: all, Conf: configuration(t, `{"cniVersion":"1.1.0","name":"n"}`)}, "nothing to test"},
		"a path as type":     {Target{BinDir: all, Conf: configuration(t, `{"cniVersion":"1.1.0","name":"n","type":"../x"}`)}, "../x"},
		"no binary":          {Target{BinDir: binaries(t, "bridge"), Conf: configuration(t, list)}, "host-local"},
		"unknown plugin":     {Target{BinDir: all, Conf: configuration(t, list), Plugin: "ptp"}, "ptp"},
		"unknown kind":       {Target{BinDir: all, Conf: configuration(t, list), Plugin: "bridge", Kind: "firewall"}, "firewall"},
		"kind of which":      {Target{BinDir: all, Conf: configuration(t, list), Kind: IPAM}, "choose one"},
		"no such row":        {Target{BinDir: all, Conf: configuration(t, list), Only: "none"}, "no row"},
		"a pattern of rows?": {Target{BinDir: all, Conf: configuration(t, list), Only: "["}, "["},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, _, err := c.target.prepare()
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("the error is %v; it has to mention %q", err, c.says)
			}
		})
	}
}

// TestRowsAreWhole: each row can be found, read and applied.
func TestRowsAreWhole(t *testing.T) {
	seen := map[string]bool{}
	for _, row := range Rows() {
		if seen[row.ID] {
			t.Errorf("two rows are called %s", row.ID)
		}
		seen[row.ID] = true
		if row.ID == "" || row.Section == "" || row.Requirement == "" || row.Why == "" || row.check == nil || len(row.Kinds) == 0 {
			t.Errorf("row %q lacks something: %+v", row.ID, row)
		}
		if !slices.Contains([]Level{Must, Should, May}, row.Level) {
			t.Errorf("row %s has level %q", row.ID, row.Level)
		}
		if section := row.Section[0]; section < '1' || section > '5' {
			t.Errorf("row %s is of section %q, and SPEC.md has five", row.ID, row.Section)
		}
	}
}

func TestSelect(t *testing.T) {
	chosen, err := Select(Rows(), "version-*, del-repeated")
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, row := range chosen {
		ids = append(ids, row.ID)
	}
	if want := []string{"del-repeated", "version-result", "version-keys", "version-echo"}; !slices.Equal(ids, want) {
		t.Errorf("chosen are %q, want %q", ids, want)
	}
}

// FuzzTarget: a configuration gives units that can be called, or an error.
func FuzzTarget(f *testing.F) {
	f.Add([]byte(list))
	f.Add([]byte(`{"cniVersion":"1.1.0","name":"n","type":"bridge","ipam":[]}`))
	f.Add([]byte(`{"cniVersion":"1.1.0","name":"n","plugins":[null,{"type":7}]}`))
	f.Fuzz(func(t *testing.T, conf []byte) {
		dir := t.TempDir()
		path := filepath.Join(dir, "net.conflist")
		if err := os.WriteFile(path, conf, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"bridge", "host-local", "portmap"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		units, err := Target{BinDir: dir, Conf: path}.units()
		for _, u := range units {
			if err == nil && (u.Type == "" || u.config["name"] == nil) {
				t.Errorf("unit %+v", u)
			}
		}
	})
}
