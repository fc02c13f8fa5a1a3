package spec

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"time"
)

// TraceEnv asks a plugin, by the value "1", to write each step it takes as one
// JSON line on stderr. A line costs microseconds; linking a tracing SDK would
// cost every start of a plugin milliseconds.
const TraceEnv = "MASCRI_TRACE"

// stepPrefix tells a step from whatever else a plugin writes on stderr.
const stepPrefix = `{"cniStep":`

// Step is one thing that was done on the way from a CRI call to a veth pair.
type Step struct {
	Actor    string        `json:"actor"`   // who did it: cri, docker, netplug, ipam
	Command  string        `json:"command"` // the ip, nft or sysctl command that would do the same, or the call
	Start    time.Time     `json:"start"`
	Duration time.Duration `json:"ns"`
	Error    string        `json:"error,omitempty"`
}

type sinkKey struct{}

// WithTrace returns a context under which Do reports its steps to sink. The
// sink is called from the goroutine that did the step.
func WithTrace(ctx context.Context, sink func(Step)) context.Context {
	return context.WithValue(ctx, sinkKey{}, sink)
}

// Do runs f and reports it as a step that the command describes. Without a
// trace in the context it only runs f.
func Do(ctx context.Context, actor, command string, f func() error) error {
	sink, ok := ctx.Value(sinkKey{}).(func(Step))
	if !ok {
		return f()
	}
	step := Step{Actor: actor, Command: command, Start: time.Now()}
	err := f()
	step.Duration = time.Since(step.Start)
	if err != nil {
		step.Error = err.Error()
	}
	sink(step)
	return err
}

// Report hands a step that happened elsewhere, in a plugin say, to the
// context's trace.
func Report(ctx context.Context, step Step) {
	if sink, ok := ctx.Value(sinkKey{}).(func(Step)); ok {
		sink(step)
	}
}

// ParseStep reads a step from one line of a plugin's stderr; false means that
// the line is something else.
func ParseStep(line []byte) (Step, bool) {
	if !bytes.HasPrefix(line, []byte(stepPrefix)) {
		return Step{}, false
	}
	var wrapped struct {
		Step *Step `json:"cniStep"`
	}
	if err := json.Unmarshal(line, &wrapped); err != nil || wrapped.Step == nil {
		return Step{}, false
	}
	return *wrapped.Step, true
}

// traceTo writes each step as a line that ParseStep reads. Losing a line of a
// trace must not fail the verb.
func traceTo(w io.Writer) func(Step) {
	return func(step Step) {
		text, err := json.Marshal(step)
		if err != nil {
			return
		}
		line := append(append([]byte(stepPrefix), text...), '}', '\n')
		_, _ = w.Write(line) // one write a line, so that two plugins' lines do not mix
	}
}
