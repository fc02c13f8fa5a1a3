package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/mascri/mascri/spec/conformance"
)

// conformanceEnd is an error with the exit code it stands for: 1 for a plugin
// at fault, 2 for a call, a configuration or a machine that the suite cannot
// work with. A script has to tell the two apart.
type conformanceEnd struct {
	error
	code int
}

func (e conformanceEnd) Unwrap() error { return e.error }
func (e conformanceEnd) ExitCode() int { return e.code }

const conformanceUsage = `Usage: mascri conformance --bin-dir DIR --conf FILE [flags]

Tests CNI plugins against the CNI specification 1.1.0, one row a requirement.
FILE is a network configuration (.conf or .conflist), DIR holds the binaries it
names. Every plugin of a list and every IPAM plugin it delegates to is tested,
in network namespaces and state directories of its own: nothing is left behind.

Needs root, or: unshare -Urnm mascri conformance …

Exit code: 0 every MUST is kept, 1 one is violated, 2 the suite could not run.

`

// conformanceFlags are the command line.
type conformanceFlags struct {
	target               conformance.Target
	output               string
	list                 bool
	capArgs, unsupported string
	kind                 string
	require              string
}

// runConformance is the subcommand of that name. The report goes to stdout.
func runConformance(ctx context.Context, args []string, log io.Writer) error {
	f, err := parseConformance(args, log)
	violations := 0
	switch {
	case errors.Is(err, flag.ErrHelp):
		return err
	case err == nil && f.list:
		err = listRows(os.Stdout, f.target.Only)
	case err == nil:
		violations, err = f.run(ctx, os.Stdout, log)
	}
	if err != nil {
		return conformanceEnd{err, 2}
	}
	if violations > 0 {
		return conformanceEnd{fmt.Errorf("%d requirements of level %s or above are violated", violations, f.target.Require), 1}
	}
	return nil
}

// run writes the report and returns how much of what is demanded is violated.
func (f conformanceFlags) run(ctx context.Context, stdout, log io.Writer) (int, error) {
	report, err := conformance.Run(ctx, f.target, progress(log))
	if err != nil {
		return 0, err
	}
	return report.Violations(), report.Write(stdout, f.output)
}

func parseConformance(args []string, log io.Writer) (conformanceFlags, error) {
	var f conformanceFlags
	flags := flag.NewFlagSet("conformance", flag.ContinueOnError)
	flags.SetOutput(log)
	flags.Usage = func() { fmt.Fprint(log, conformanceUsage); flags.PrintDefaults() }
	flags.StringVar(&f.target.BinDir, "bin-dir", "", "the `directory` with the plugin binaries")
	flags.StringVar(&f.target.Conf, "conf", "", "the network configuration `file`")
	flags.StringVar(&f.output, "o", "table", "output `format`: "+strings.Join(conformance.Formats, ", "))
	flags.StringVar(&f.target.Only, "only", "", "only the rows with these `IDs`, separated by commas; * matches anything")
	flags.BoolVar(&f.list, "list", false, "list the rows and run nothing")
	flags.StringVar(&f.target.Plugin, "plugin", "", "only plugins of this `type`")
	flags.StringVar(&f.kind, "kind", "", fmt.Sprintf("what --plugin is, where its place in the configuration does not say: one of %v", conformance.Kinds))
	flags.StringVar(&f.capArgs, "capability-args", "", "`JSON` object of what to pass in runtimeConfig to plugins that declare the capability")
	flags.StringVar(&f.unsupported, "unsupported", "", "`JSON` object of what plugins are known not to support, by their type: keys of their configuration with values")
	flags.StringVar(&f.require, "require", "must", "the weakest `level` whose violation counts: must or should")
	flags.DurationVar(&f.target.Timeout, "timeout", 20*time.Second, "bound of each execution of a plugin")
	if err := parseFlags(flags, args); err != nil {
		return f, err
	}
	return f, f.validate(flags.Args())
}

// validate judges the command line and fills the target.
func (f *conformanceFlags) validate(rest []string) error {
	if len(rest) > 0 {
		return fmt.Errorf("unexpected argument %q: see --help", rest[0])
	}
	if f.list {
		return nil
	}
	if f.target.BinDir == "" || f.target.Conf == "" {
		return errors.New("--bin-dir and --conf must be given: see --help")
	}
	if !slices.Contains(conformance.Formats, f.output) {
		return fmt.Errorf("-o %q is not one of %s", f.output, strings.Join(conformance.Formats, ", "))
	}
	f.target.Require = conformance.Level(strings.ToUpper(f.require))
	if f.target.Require != conformance.Must && f.target.Require != conformance.Should {
		return fmt.Errorf("--require %q is neither must nor should", f.require)
	}
	if f.target.Timeout <= 0 {
		return fmt.Errorf("--timeout %s leaves no time", f.target.Timeout)
	}
	f.target.Kind = conformance.Kind(f.kind)
	for _, object := range []struct {
		flag, text string
		into       any
	}{
		{"--capability-args", f.capArgs, &f.target.CapabilityArgs},
		{"--unsupported", f.unsupported, &f.target.Unsupported},
	} {
		if object.text == "" {
			continue
		}
		if err := json.Unmarshal([]byte(object.text), object.into); err != nil {
			return fmt.Errorf("%s is not such a JSON object: %w", object.flag, err)
		}
	}
	return nil
}

// listRows prints the specification as rows, without running anything.
func listRows(w io.Writer, only string) error {
	rows, err := conformance.Select(conformance.Rows(), only)
	if err != nil {
		return fmt.Errorf("--only %q: %w", only, err)
	}
	table := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "ROW\tSECTION\tLEVEL\tKINDS\tREQUIREMENT")
	for _, row := range rows {
		fmt.Fprintf(table, "%s\t%s\t%s\t%v\t%s\n", row.ID, row.Section, row.Level, row.Kinds, row.Requirement)
	}
	return table.Flush()
}

// progress shows, on a terminal, which row is at work: a run takes a minute.
func progress(log io.Writer) func(string, conformance.Outcome) {
	file, ok := log.(*os.File)
	if !ok {
		return nil
	}
	if info, err := file.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return nil
	}
	return func(plugin string, o conformance.Outcome) {
		fmt.Fprintf(file, "%s %s: %s\n", plugin, o.Row.ID, o.Status)
	}
}
