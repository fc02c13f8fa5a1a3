package main

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mascri/mascri/spec/conformance"
)

// TestConformanceUnusable: what the suite cannot work with ends with code 2,
// so that a script does not take it for a plugin at fault.
func TestConformanceUnusable(t *testing.T) {
	conf := filepath.Join(t.TempDir(), "net.conf")
	if err := os.WriteFile(conf, []byte(`{"cniVersion":"1.1.0","name":"n","type":"none"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args string
		says string
	}{
		"nothing":        {"", "--bin-dir"},
		"no conf":        {"--bin-dir .", "--conf"},
		"no such file":   {"--bin-dir . --conf none", "none"},
		"no such plugin": {"--bin-dir . --conf " + conf, "not in the plugin directory"},
		"no such row":    {"--bin-dir . --conf " + conf + " --only none", "no row"},
		"format":         {"--bin-dir . --conf " + conf + " -o yaml", "yaml"},
		"level":          {"--bin-dir . --conf " + conf + " --require may", "may"},
		"timeout":        {"--bin-dir . --conf " + conf + " --timeout 0s", "timeout"},
		"capabilities":   {"--bin-dir . --conf " + conf + " --capability-args []", "capability-args"},
		"unsupported":    {"--bin-dir . --conf " + conf + ` --unsupported {"vlan":5}`, "unsupported"},
		"rest":           {"--bin-dir . --conf " + conf + " more", "more"},
		"unknown flag":   {"--frobnicate", "frobnicate"},
		"pattern":        {"--list --only [", "["},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			err := runConformance(t.Context(), strings.Fields(c.args), &log)
			var end conformanceEnd
			if !errors.As(err, &end) || end.ExitCode() != 2 || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error is %v; want code 2 and a mention of %q", err, c.says)
			}
		})
	}
}

func TestConformanceHelp(t *testing.T) {
	var log bytes.Buffer
	if err := runConformance(t.Context(), []string{"--help"}, &log); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("--help ends with %v", err)
	}
	for _, wanted := range []string{"unshare -Urnm", "-bin-dir", "Exit code"} {
		if !strings.Contains(log.String(), wanted) {
			t.Errorf("the help does not mention %q", wanted)
		}
	}
}

func TestConformanceList(t *testing.T) {
	var out bytes.Buffer
	if err := listRows(&out, ""); err != nil {
		t.Fatal(err)
	}
	if lines, rows := strings.Count(out.String(), "\n"), len(conformance.Rows()); lines != rows+1 {
		t.Errorf("%d lines are printed for %d rows and a heading", lines, rows)
	}
}
