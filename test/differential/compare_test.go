package differential

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// An observation is everything seen in one run: subject, from the stage down
// with slashes, and value.
type observation map[string]string

// A difference is one observed value of which there are two.
type difference struct{ name, reference, ours string }

// compare lists what differs. Where one side lacks a whole subject, such as a
// link with all that belongs to it, that is one difference.
func compare(theirs, seen observation) []difference {
	inTheirs, inOurs := prefixes(theirs), prefixes(seen)
	found := map[string]difference{}
	for name, value := range theirs {
		if other, ok := seen[name]; !ok {
			subject := missing(name, inOurs)
			found[subject] = difference{subject, "present", "absent"}
		} else if other != value {
			found[name] = difference{name, value, other}
		}
	}
	for name := range seen {
		if _, ok := theirs[name]; !ok {
			subject := missing(name, inTheirs)
			found[subject] = difference{subject, "absent", "present"}
		}
	}
	return slices.SortedFunc(maps.Values(found), func(a, b difference) int { return strings.Compare(a.name, b.name) })
}

// prefixes are an observation's names, and all that contain them.
func prefixes(o observation) map[string]bool {
	all := map[string]bool{}
	for name := range o {
		for i := range len(name) {
			if name[i] == '/' {
				all[name[:i]] = true
			}
		}
		all[name] = true
	}
	return all
}

// missing is the largest subject around name of which the other side has nothing.
func missing(name string, other map[string]bool) string {
	for i := range len(name) {
		if name[i] == '/' && !other[name[:i]] {
			return name[:i]
		}
	}
	return name
}

func TestCompare(t *testing.T) {
	theirs := observation{"a/link x/mtu": "1500", "a/link x/up": "true", "a/link y/mtu": "1500", "b": "1"}
	seen := observation{"a/link x/mtu": "1400", "a/link x/up": "true", "b": "1", "c/d/e": "2"}
	want := []difference{
		{"a/link x/mtu", "1500", "1400"},
		{"a/link y", "present", "absent"},
		{"c", "absent", "present"},
	}
	if got := compare(theirs, seen); !slices.Equal(got, want) {
		t.Errorf("compare: %v, expected %v", got, want)
	}
	if got := compare(theirs, theirs); got != nil {
		t.Errorf("a thing differs from itself: %v", got)
	}
}
