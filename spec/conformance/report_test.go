package conformance

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"strings"
	"testing"
)

// sample has one outcome of each status.
func sample() Report {
	rows := Rows()[:2]
	must, should := rows[0], rows[1]
	must.Level, should.Level = Must, Should
	call := &Call{Path: "/bin/bridge", Env: []string{"CNI_COMMAND=ADD"}, Stdin: `{"name":"it's"}`, Stdout: "\x1b[0m{}", Exit: 0}
	return Report{Plugins: []PluginReport{{Type: "bridge", Kind: Interface, Outcomes: []Outcome{
		{Row: must, Status: Pass},
		{Row: must, Status: Fail, Reason: "a < b | c", Events: []Event{{Note: "ip link del eth0"}, {Call: call}}},
		{Row: should, Status: Blocked, Reason: "no ADD"},
		{Row: should, Status: NotApplicable, Reason: "no ipam"},
	}}}}
}

// TestViolations: what counts depends on what is demanded, and a row that
// could not be checked counts like one that failed.
func TestViolations(t *testing.T) {
	for required, want := range map[Level]int{"": 1, Must: 1, Should: 2, May: 2} {
		r := sample()
		r.Target.Require = required
		if got := r.Violations(); got != want {
			t.Errorf("with %q demanded there are %d violations, want %d", required, got, want)
		}
	}
}

func TestFormats(t *testing.T) {
	for _, format := range Formats {
		t.Run(format, func(t *testing.T) {
			var b bytes.Buffer
			if err := sample().Write(&b, format); err != nil {
				t.Fatal(err)
			}
			for _, wanted := range []string{"bridge", "config-name-syntax", "no ADD", "no ipam"} {
				if !strings.Contains(b.String(), wanted) {
					t.Errorf("%q is missing in:\n%s", wanted, &b)
				}
			}
		})
	}
	if err := sample().Write(&bytes.Buffer{}, "yaml"); err == nil {
		t.Error("an unknown format is accepted")
	}
}

// TestTableShowsEvidence: the violation can be repeated from what is printed.
func TestTableShowsEvidence(t *testing.T) {
	var b bytes.Buffer
	if err := sample().Write(&b, "table"); err != nil {
		t.Fatal(err)
	}
	for _, wanted := range []string{"ip link del eth0", `CNI_COMMAND=ADD /bin/bridge <<< '{"name":"it'\''s"}'`, "exit code: 0", "rule: ", "why: "} {
		if !strings.Contains(b.String(), wanted) {
			t.Errorf("%q is missing in:\n%s", wanted, &b)
		}
	}
}

func TestJSONCanBeRead(t *testing.T) {
	var b bytes.Buffer
	if err := sample().Write(&b, "json"); err != nil {
		t.Fatal(err)
	}
	var document struct {
		Violations int
		Rows       []jsonRow
	}
	if err := json.Unmarshal(b.Bytes(), &document); err != nil {
		t.Fatal(err)
	}
	if document.Violations != 1 || len(document.Rows) != 4 || document.Rows[1].Events[1].Call.Path != "/bin/bridge" {
		t.Errorf("read back: %+v", document)
	}
}

// TestJUnitCanBeRead: only what is demanded fails a build; control characters
// from a plugin do not make the document unreadable.
func TestJUnitCanBeRead(t *testing.T) {
	var b bytes.Buffer
	if err := sample().Write(&b, "junit"); err != nil {
		t.Fatal(err)
	}
	var document junitSuites
	if err := xml.Unmarshal(b.Bytes(), &document); err != nil {
		t.Fatal(err)
	}
	suite := document.Suites[0]
	if suite.Tests != 4 || suite.Failures != 1 || suite.Skipped != 2 {
		t.Errorf("tests, failures, skipped are %d, %d, %d; want 4, 1, 2", suite.Tests, suite.Failures, suite.Skipped)
	}
}
