//go:build bench

package bench

import (
	"fmt"
	"testing"

	"github.com/mascri/mascri/test/figures"
)

// TestHostPortsHeld measures ADD and DEL of a pod with 2 host ports, on a node
// where another pod has 5,000 already. It takes turns with a node that has none.
func TestHostPortsHeld(t *testing.T) {
	tb := figures.Table{Name: "hostports", Header: []string{"host ports held by another pod, p50", "ADD, ms", "÷ with none", "DEL, ms", "÷ with none"}}
	held := []int{0, manyPorts}
	adds, dels := make([]figures.Series, len(held)), make([]figures.Series, len(held))
	for round := range 2 { // none, many, many, none: what drifts meets both
		for i := range held {
			at := i ^ round
			a, d := portsBeside(t, held[at])
			adds[at], dels[at] = append(adds[at], a...), append(dels[at], d...)
		}
	}
	for at, h := range held {
		tb.Add(fmt.Sprint(h), figures.MS(adds[at].P50()), figures.Ratio(adds[at], adds[0]), figures.MS(dels[at].P50()), figures.Ratio(dels[at], dels[0]))
	}
	aimAt(fmt.Sprintf("ADD with %d host ports held, ÷ with none", manyPorts), figures.Quotient(adds[1], adds[0]), 1.15)
	tb.Write(t, *output)
}

// portsBeside is a node where another pod holds that many host ports, and half
// of the runs on it.
func portsBeside(t *testing.T, held int) (adds, dels figures.Series) {
	t.Helper()
	n := newNode(t)
	w := network{node: n}
	w.side, _ = n.sides("hostports", `"ipMasq":true,`, "", true)
	if held > 0 {
		w.attach(manyMapped(held))
	}
	pod := n.pod()
	for i := range (*runs + 1) / 2 {
		adds = append(adds, w.side.add(n, i+2, pod)) // the other pod is number 1
		dels = append(dels, w.side.del(n, i+2, pod))
	}
	n.release()
	return adds, dels
}
