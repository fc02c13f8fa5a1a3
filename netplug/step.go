package netplug

import (
	"context"
	"strings"

	"github.com/mascri/mascri/spec"
)

// Step is one thing to be had on the node or in the pod. It is a comparable
// struct of names and addresses: it holds no handle and no state.
//
// String is the command that does the same by hand, or a few, one a line. On
// Linux a step also has Apply, which makes it so and is content when it is so
// already, and Check, which says what is missing or different (kernel_linux.go).
type Step interface {
	String() string
	kernelStep
}

// Plan is everything one ADD makes, in an order in which it can be made.
type Plan struct {
	Node []Step // shared with other pods: ensured, never undone
	Pod  []Step // the attachment's own
}

// Steps are the Node steps, then the Pod steps.
func (p Plan) Steps() []Step {
	return append(append([]Step(nil), p.Node...), p.Pod...)
}

// Script is the plan as a shell script.
func (p Plan) Script() string {
	var b strings.Builder
	for _, step := range p.Steps() {
		b.WriteString(step.String())
		b.WriteByte('\n')
	}
	return b.String()
}

// do runs f as the step's part of a trace.
func do(ctx context.Context, step Step, f func() error) error {
	return spec.Do(ctx, "netplug", step.String(), f)
}

// inPod prefixes a command so that it runs in the pod's network namespace.
func inPod(netns, command string) string {
	return "nsenter --net=" + netns + " " + command
}
