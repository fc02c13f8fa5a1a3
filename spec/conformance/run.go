package conformance

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"
)

// Status is how a row ended.
type Status string

const (
	// Pass means the plugin did what the requirement asks for.
	Pass Status = "pass"
	// Fail means it did not.
	Fail Status = "fail"
	// NotApplicable means the requirement does not concern this plugin or
	// configuration; the reason says why.
	NotApplicable Status = "n/a"
	// Blocked means that the check could not get as far as the requirement,
	// mostly because the plugin could not do something more basic. It counts
	// as a violation: nothing that could not be checked passes.
	Blocked Status = "blocked"
)

// Outcome is a row's result with one plugin.
type Outcome struct {
	Row    Row
	Status Status
	// Reason is what was violated, why the row does not apply or what blocks
	// it; empty for a pass.
	Reason string
	// Events is everything that happened, in order.
	Events   []Event
	Duration time.Duration
}

// Violates tells whether the outcome is a failure where everything from
// required upwards is demanded.
func (o Outcome) Violates(required Level) bool {
	return (o.Status == Fail || o.Status == Blocked) && o.Row.Level.Binds(required)
}

// PluginReport is what came out for one plugin of the configuration.
type PluginReport struct {
	Type     string // the binary's name
	Kind     Kind
	Outcomes []Outcome
}

// Report is what came out for all of them.
type Report struct {
	Target  Target
	Plugins []PluginReport
}

// Violations counts the requirements from [Target.Require] upwards that a
// plugin violates.
func (r Report) Violations() int {
	n := 0
	for _, plugin := range r.Plugins {
		for _, o := range plugin.Outcomes {
			if o.Violates(r.Target.required()) {
				n++
			}
		}
	}
	return n
}

func (t Target) required() Level {
	if t.Require == "" {
		return Must
	}
	return t.Require
}

// Run checks every row with every plugin of the configuration. The error is
// about the target or the machine ([ErrUnprivileged], [ErrPlatform]); what is
// wrong with a plugin is in the report. progress is called after each row;
// nil for none.
func Run(ctx context.Context, t Target, progress func(pluginType string, o Outcome)) (Report, error) {
	t, units, rows, err := t.prepare()
	if err != nil {
		return Report{}, err
	}
	report := Report{Target: t}
	for _, u := range units {
		plugin := PluginReport{Type: u.Type, Kind: u.Kind}
		for _, row := range rows {
			o, err := runRow(ctx, t, u, row)
			if err != nil {
				return report, err
			}
			plugin.Outcomes = append(plugin.Outcomes, o)
			if progress != nil {
				progress(u.Type, o)
			}
		}
		report.Plugins = append(report.Plugins, plugin)
	}
	return report, nil
}

// prepare makes the target absolute and tries once whether the machine can be
// made at all.
func (t Target) prepare() (Target, []unit, []Row, error) {
	dir, err := filepath.Abs(t.BinDir)
	if err != nil {
		return t, nil, nil, fmt.Errorf("plugin directory: %w", err)
	}
	t.BinDir = dir
	rows, err := Select(Rows(), t.Only)
	if err != nil {
		return t, nil, nil, fmt.Errorf("rows %q: %w", t.Only, err)
	}
	if len(rows) == 0 {
		return t, nil, nil, fmt.Errorf("no row is called %q", t.Only)
	}
	units, err := t.units()
	if err != nil {
		return t, nil, nil, err
	}
	h, err := newHost(t.BinDir)
	if err != nil {
		return t, nil, nil, err
	}
	h.close()
	return t, units, rows, nil
}

// runRow checks one row on a machine of its own.
func runRow(ctx context.Context, t Target, u unit, row Row) (Outcome, error) {
	o := Outcome{Row: row}
	if !slices.Contains(row.Kinds, u.Kind) {
		o.Status, o.Reason = NotApplicable, fmt.Sprintf("concerns plugins of kind %v; %s is of kind %s", row.Kinds, u.Type, u.Kind)
		return o, nil
	}
	h, err := newHost(t.BinDir)
	if err != nil {
		return o, err
	}
	defer h.close()
	timeout := t.Timeout
	if timeout == 0 {
		timeout = defaultTimeout
	}
	p := &probe{ctx: ctx, target: t, unit: u, host: h, timeout: timeout, path: t.BinDir}
	start := time.Now()
	v := p.judge(row)
	o.Status, o.Reason, o.Events, o.Duration = v.status, v.reason, p.events, time.Since(start)
	return o, ctx.Err()
}

// judge runs the check and catches the verdict that ends it.
func (p *probe) judge(row Row) (v verdict) {
	defer func() {
		switch ended := recover().(type) {
		case nil:
		case verdict:
			v = ended
		default:
			panic(ended)
		}
	}()
	row.check(p)
	return verdict{status: Pass}
}
