//go:build privileged

package differential

import (
	"slices"
	"sync"
	"testing"
)

// scenarios are the whole table.
var scenarios = slices.Concat(bridgeScenarios, ipamScenarios, versionScenarios, loopbackScenarios, portmapScenarios)

// TestSameAsReference runs each scenario with both implementations. A difference
// fails it unless it is accepted; so does an accepted one that did not occur.
func TestSameAsReference(t *testing.T) {
	skipShort(t) // here too: nothing that was skipped says that an accepted difference is gone
	var (
		mutex    sync.Mutex
		finished int
		occurred = make([]bool, len(accepted))
	)
	t.Run("scenario", func(t *testing.T) {
		for _, s := range scenarios {
			t.Run(s.name, func(t *testing.T) {
				t.Parallel()
				differences := runBoth(t, s)
				mutex.Lock()
				defer mutex.Unlock()
				finished++
				for _, d := range differences {
					i := slices.IndexFunc(accepted, func(a acceptance) bool { return a.covers(s.name, d) })
					if i < 0 {
						t.Errorf("%s\n\treference: %s\n\tours:      %s", d.name, d.reference, d.ours)
						continue
					}
					occurred[i] = true
				}
			})
		}
	})
	if finished < len(scenarios) {
		return // only some were asked for: what did not occur in them says nothing
	}
	for i, a := range accepted {
		if !occurred[i] && a.test == "" {
			t.Errorf("no longer occurs: remove it from accepted_test.go:\n\treference: %s\n\tours:      %s", a.reference, a.ours)
		}
	}
}

// runBoth runs a scenario on two nodes, one for each implementation.
func runBoth(t *testing.T, s scenario) []difference {
	var theirs, seen observation
	t.Run("run", func(t *testing.T) {
		t.Run("reference", func(t *testing.T) { t.Parallel(); theirs = newLab(t, reference).run(s) })
		t.Run("ours", func(t *testing.T) { t.Parallel(); seen = newLab(t, ours).run(s) })
	})
	return compare(theirs, seen)
}
