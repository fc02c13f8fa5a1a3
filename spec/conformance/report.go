package conformance

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Formats are what [Report.Write] can print, by name.
var Formats = slices.Sorted(maps.Keys(writers))

var writers = map[string]func(Report, io.Writer) error{
	"table":    Report.writeTable,
	"json":     Report.writeJSON,
	"junit":    Report.writeJUnit,
	"markdown": Report.writeMarkdown,
}

// Write prints the report: "table" for people, with the evidence of each
// violation below; "json" with everything that happened; "junit" for CI
// systems; "markdown" for a page of documentation.
func (r Report) Write(w io.Writer, format string) error {
	write, known := writers[format]
	if !known {
		return fmt.Errorf("format %q is not one of %s", format, strings.Join(Formats, ", "))
	}
	return write(r, w)
}

// Explanation is a violation in full: the rule, why it matters, what happened
// and the executions that show it.
func (o Outcome) Explanation() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s %s (section %s)\n", o.Row.ID, strings.ToUpper(string(o.Status)), o.Row.Level, o.Row.Section)
	fmt.Fprintf(&b, "  rule: %s\n  why:  %s\n  here: %s\n", o.Row.Requirement, o.Row.Why, o.Reason)
	for i, event := range o.Events {
		fmt.Fprintf(&b, "  %2d. %s\n", i+1, indent(event.String()))
	}
	return b.String()
}

func (e Event) String() string {
	if e.Call != nil {
		return e.Call.String()
	}
	return "# " + e.Note
}

func indent(s string) string { return strings.ReplaceAll(s, "\n", "\n      ") }

// count returns how many outcomes have each status.
func (p PluginReport) count() map[Status]int {
	n := map[Status]int{}
	for _, o := range p.Outcomes {
		n[o.Status]++
	}
	return n
}

// Summary is one line about the plugin.
func (p PluginReport) Summary() string {
	n := p.count()
	return fmt.Sprintf("%s (%s): %d passed, %d failed, %d blocked, %d not applicable", p.Type, p.Kind, n[Pass], n[Fail], n[Blocked], n[NotApplicable])
}

func (r Report) writeTable(w io.Writer) error {
	for _, plugin := range r.Plugins {
		table := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
		fmt.Fprintf(table, "%s, a plugin of kind %s\n\nROW\tSECTION\tLEVEL\tRESULT\tREQUIREMENT, OR WHAT IS WRONG\n", plugin.Type, plugin.Kind)
		for _, o := range plugin.Outcomes {
			said := o.Row.Requirement
			if o.Reason != "" {
				said = o.Reason
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", o.Row.ID, o.Row.Section, o.Row.Level, o.Status, strings.ReplaceAll(said, "\n", " "))
		}
		if err := table.Flush(); err != nil {
			return err
		}
		if err := plugin.writeEvidence(w); err != nil {
			return err
		}
	}
	return nil
}

func (p PluginReport) writeEvidence(w io.Writer) error {
	for _, o := range p.Outcomes {
		if o.Status == Fail || o.Status == Blocked {
			if _, err := fmt.Fprintf(w, "\n%s", o.Explanation()); err != nil {
				return err
			}
		}
	}
	_, err := fmt.Fprintf(w, "\n%s\n\n", p.Summary())
	return err
}

// jsonRow is an outcome as the "json" format has it; its keys do not change.
type jsonRow struct {
	Plugin      string  `json:"plugin"`
	Kind        Kind    `json:"kind"`
	ID          string  `json:"id"`
	Section     string  `json:"section"`
	Level       Level   `json:"level"`
	Requirement string  `json:"requirement"`
	Why         string  `json:"why"`
	Status      Status  `json:"status"`
	Reason      string  `json:"reason,omitempty"`
	Seconds     float64 `json:"seconds"`
	Events      []Event `json:"events,omitempty"`
}

func (r Report) writeJSON(w io.Writer) error {
	document := struct {
		BinDir     string    `json:"binDir"`
		Conf       string    `json:"conf"`
		Violations int       `json:"violations"`
		Rows       []jsonRow `json:"rows"`
	}{r.Target.BinDir, r.Target.Conf, r.Violations(), []jsonRow{}}
	for _, plugin := range r.Plugins {
		for _, o := range plugin.Outcomes {
			document.Rows = append(document.Rows, jsonRow{
				plugin.Type, plugin.Kind, o.Row.ID, o.Row.Section, o.Row.Level, o.Row.Requirement, o.Row.Why,
				o.Status, o.Reason, o.Duration.Seconds(), o.Events,
			})
		}
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(document)
}

// The elements that CI systems read of JUnit's format.
type junitSuites struct {
	XMLName xml.Name     `xml:"testsuites"`
	Suites  []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	Time    string        `xml:"time,attr"`
	Failure *junitMessage `xml:"failure"`
	Skipped *junitMessage `xml:"skipped"`
}

type junitMessage struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// writeJUnit counts as failures what violates a requirement that is demanded;
// a SHOULD that is not is skipped, with its reason.
func (r Report) writeJUnit(w io.Writer) error {
	var document junitSuites
	for _, plugin := range r.Plugins {
		suite := junitSuite{Name: plugin.Type, Tests: len(plugin.Outcomes)}
		for _, o := range plugin.Outcomes {
			c := junitCase{Class: "conformance." + plugin.Type, Name: o.Row.ID, Time: fmt.Sprintf("%.3f", o.Duration.Round(time.Millisecond).Seconds())}
			switch {
			case o.Violates(r.Target.required()):
				suite.Failures++
				c.Failure = &junitMessage{o.Reason, printable(o.Explanation())}
			case o.Status != Pass:
				suite.Skipped++
				c.Skipped = &junitMessage{Message: string(o.Status) + ": " + o.Reason}
			}
			suite.Cases = append(suite.Cases, c)
		}
		document.Suites = append(document.Suites, suite)
	}
	b, err := xml.MarshalIndent(document, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the JUnit report: %w", err)
	}
	_, err = fmt.Fprintf(w, "%s%s\n", xml.Header, b)
	return err
}

// printable drops what XML 1.0 has no way to write.
func printable(s string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' && c != '\n' && c != '\t' {
			return -1
		}
		return c
	}, s)
}

// writeMarkdown prints what is not as it should be, then the whole table.
func (r Report) writeMarkdown(w io.Writer) error {
	for _, plugin := range r.Plugins {
		fmt.Fprintf(w, "## %s\n\n%s.\n\n", plugin.Type, plugin.Summary())
		fmt.Fprint(w, "| row | section | level | result | what |\n|---|---|---|---|---|\n")
		for _, status := range []Status{Fail, Blocked, NotApplicable, Pass} {
			for _, o := range plugin.Outcomes {
				if o.Status != status {
					continue
				}
				said := o.Row.Requirement
				if o.Reason != "" {
					said += " *Here:* " + o.Reason
				}
				fmt.Fprintf(w, "| `%s` | %s | %s | %s | %s |\n", o.Row.ID, o.Row.Section, o.Row.Level, o.Status, cell(said))
			}
		}
		if _, err := fmt.Fprintln(w); err != nil {
			return err
		}
	}
	return nil
}

// cell keeps a text in its cell of a Markdown table.
func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ", "<", "&lt;").Replace(s)
}
