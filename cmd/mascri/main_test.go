package main

import (
	"strings"
	"testing"
)

// Help that is asked for is on stdout and a success; what was not understood is
// on stderr, in a few lines, and ends with code 2.
func TestHelpAndMisuse(t *testing.T) {
	for _, c := range []struct {
		args           string
		code           int
		stdout, stderr string // what each says; "": nothing
	}{
		{"help", 0, "Usage: mascri COMMAND", ""},
		{"--help", 0, "Usage: mascri COMMAND", ""},
		{"-h", 0, "Usage: mascri COMMAND", ""},
		{"help serve", 0, "Usage: mascri serve", ""},
		{"serve --help", 0, "--state-dir", ""},
		{"plan --help", 0, "Usage: mascri plan", ""},
		{"conformance --help", 0, "Usage: mascri conformance", ""},
		{"with --help", 0, "Usage: mascri with", ""},
		{"demo --help", 0, "Usage: mascri demo", ""},
		{"install --help", 0, "Usage: mascri install", ""},
		{"uninstall --help", 0, "Usage: mascri uninstall", ""},
		{"", 2, "", "Usage: mascri COMMAND"},
		{"sevre", 2, "", `no command "sevre"`},
		{"help sevre", 2, "", `no command "sevre"`},
		{"serve --listn x", 2, "", "see mascri serve --help"},
		{"serve now", 2, "", "see --help"},
		{"serve --network bridge", 2, "", "cni, docker, dry-run"},
		{"plan net.conflist", 2, "", "--conf net.conflist"},
		{"with", 2, "", "no command given"},
		{"install --prefx /", 2, "", "see mascri install --help"},
		{"conformance", 2, "", "--bin-dir"},
	} {
		var stdout, stderr strings.Builder
		code := run(t.Context(), strings.Fields(c.args), &stdout, &stderr)
		if code != c.code {
			t.Errorf("mascri %s ends with %d, want %d", c.args, code, c.code)
		}
		for name, got := range map[string][2]string{"stdout": {stdout.String(), c.stdout}, "stderr": {stderr.String(), c.stderr}} {
			if got[1] == "" && got[0] != "" || !strings.Contains(got[0], got[1]) {
				t.Errorf("mascri %s has %q on %s, want %q", c.args, got[0], name, got[1])
			}
		}
		if lines := strings.Count(stderr.String(), "\n"); lines > len(commands)+6 {
			t.Errorf("mascri %s has %d lines on stderr", c.args, lines)
		}
	}
}
