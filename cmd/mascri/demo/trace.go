package demo

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/mascri/mascri/spec"
)

// shownLines is how many lines of one step's command are shown; the rules of
// the packet filter are a page, and docs/ has them in full.
const shownLines = 3

// containerID is one in full; to a reader its head says as much.
var containerID = regexp.MustCompile(`[0-9a-f]{64}`)

// printTrace prints the steps of a call in the order in which they began: who,
// how long, and the command that would do the same by hand, but that IDs are
// shortened.
func printTrace(out io.Writer, steps []spec.Step) {
	steps = slices.Clone(steps)
	slices.SortStableFunc(steps, func(a, b spec.Step) int { return a.Start.Compare(b.Start) })
	var table strings.Builder
	for i, step := range steps {
		command := containerID.ReplaceAllStringFunc(strings.TrimRight(step.Command, "\n"), abbreviate)
		lines := strings.Split(command, "\n")
		if more := len(lines) - shownLines; more > 1 {
			lines = append(lines[:shownLines], fmt.Sprintf("… and %d lines more", more))
		}
		fmt.Fprintf(&table, "%3d  %-8s %10s  %s\n", i+1, step.Actor, milliseconds(step.Duration), lines[0])
		for _, line := range lines[1:] {
			fmt.Fprintf(&table, "%26s%s\n", "", line)
		}
		if step.Error != "" {
			fmt.Fprintf(&table, "%26s! %s\n", "", step.Error)
		}
	}
	// A demonstration without a terminal still has to take back what it made.
	_, _ = io.WriteString(out, table.String())
}
