//go:build privileged

package differential

import (
	"slices"
	"testing"
)

// scenarios are the whole table.
var scenarios = slices.Concat(bridgeScenarios, ipamScenarios, versionScenarios, loopbackScenarios, portmapScenarios)

// TestSameAsReference runs each scenario with both implementations.
func TestSameAsReference(t *testing.T) {
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			var theirs, seen observation
			t.Run("both", func(t *testing.T) {
				t.Run("reference", func(t *testing.T) { t.Parallel(); theirs = newLab(t, reference).run(s) })
				t.Run("ours", func(t *testing.T) { t.Parallel(); seen = newLab(t, ours).run(s) })
			})
			for _, d := range compare(theirs, seen) {
				t.Errorf("%s\n\treference: %s\n\tours:      %s", d.name, d.reference, d.ours)
			}
		})
	}
}

// A difference is one observed value of which there are two.
type difference struct{ name, reference, ours string }

// compare lists what differs; a name that only one side has is "absent" on the
// other.
func compare(theirs, seen observation) (all []difference) {
	names := map[string]bool{}
	for name := range theirs {
		names[name] = true
	}
	for name := range seen {
		names[name] = true
	}
	for name := range names {
		a, inA := theirs[name]
		b, inB := seen[name]
		if !inA {
			a = "absent"
		}
		if !inB {
			b = "absent"
		}
		if a != b {
			all = append(all, difference{name, a, b})
		}
	}
	slices.SortFunc(all, func(a, b difference) int {
		if a.name < b.name {
			return -1
		}
		return 1
	})
	return all
}
