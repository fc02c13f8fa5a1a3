package ipam

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mascri/mascri/spec"
)

// untouched is a node on which nothing was leased yet: the data directory, and
// what is above it, is still to be made.
func untouched(t *testing.T, ipam string) *node {
	n := newNode(t, ipam)
	n.dir = filepath.Join(n.dir, "cni", "networks")
	return n
}

// nothingMade wants the host as it was before the first ADD.
func (n *node) nothingMade() {
	n.t.Helper()
	above := *n
	above.dir = filepath.Dir(filepath.Dir(n.dir))
	above.tree()
}

// TestRefusedFirstAdd: an ADD that cannot be met makes no directory.
func TestRefusedFirstAdd(t *testing.T) {
	for _, test := range []struct {
		name, ipam, more, args string
		code                   spec.Code
		culprit                string
	}{
		{"nothing to lease", `"ranges":[[{"subnet":"10.1.2.0/24","rangeStart":"10.1.2.1","rangeEnd":"10.1.2.1"}]]`, "", "", spec.Exhausted, "no IP addresses available in range set: 10.1.2.1-10.1.2.1"},
		{"second set has nothing", `"ranges":[[{"subnet":"10.1.2.0/24"}],[{"subnet":"fd00::/64","rangeStart":"fd00::1","rangeEnd":"fd00::1"}]]`, "", "", spec.Exhausted, "range 1"},
		{"address outside", `"subnet":"10.1.2.0/24"`, `"runtimeConfig":{"ips":["10.9.9.9"]},`, "", spec.InvalidConfig, "10.9.9.9"},
		{"address is the gateway's", `"subnet":"10.1.2.0/24"`, "", "IP=10.1.2.1", spec.InvalidConfig, "10.1.2.1 is subnet's gateway"},
		{"host bits", `"subnet":"10.1.2.3/24"`, "", "", spec.InvalidConfig, "10.1.2.3/24"},
		{"overlapping sets", `"ranges":[[{"subnet":"10.1.2.0/24"}],[{"subnet":"10.1.2.0/25"}]]`, "", "", spec.InvalidConfig, "overlaps"},
		{"no resolv.conf", `"subnet":"10.1.2.0/24","resolvConf":"/nonexistent"`, "", "", spec.InvalidConfig, "/nonexistent"},
		{"unknown argument", `"subnet":"10.1.2.0/24"`, "", "COLOUR=red", spec.InvalidEnv, "COLOUR=red"},
		{"path as an ID", `"subnet":"10.1.2.0/24"`, "", "", spec.InvalidEnv, "CNI_CONTAINERID"},
	} {
		t.Run(test.name, func(t *testing.T) {
			n := untouched(t, test.ipam)
			n.more, n.args = test.more, test.args
			owner := "c1"
			if test.code == spec.InvalidEnv && test.args == "" {
				owner = "..%2fc1"
			}
			n.fails("ADD", owner, test.code, test.culprit)
			n.nothingMade()
		})
	}
}

// TestLookersMakeNothing: no verb but ADD makes a directory, not even where
// host-local leased and there is no index yet.
func TestLookersMakeNothing(t *testing.T) {
	n := untouched(t, dualStack)
	n.fails("CHECK", "c1", spec.CheckFailed, "Failed to find address added by container c1")
	n.must("STATUS", "")
	n.must("DEL", "c1")
	n.valid()
	n.must("GC", "")
	n.nothingMade()

	n.write("10.1.2.5", "c1\r\neth0")
	n.must("CHECK", "c1")
	n.must("STATUS", "")
	n.tree("net", "net/10.1.2.5", "net/lock")
}

// TestStatusLooksAbove: where the data directory will be made, nothing can be.
func TestStatusLooksAbove(t *testing.T) {
	n := newNode(t, dualStack)
	n.dir = "/proc/sys/kernel/leases"
	n.fails("STATUS", "", spec.NotAvailable, "/proc/sys/kernel")
}

// TestRelativeDataDir: which directory it is would depend on who asks. DEL and
// GC go there all the same, as host-local may have leased there.
func TestRelativeDataDir(t *testing.T) {
	n := newNode(t, `"subnet":"10.1.2.0/24"`)
	t.Chdir(n.dir)
	n.dir = "leases"
	for _, command := range []string{"ADD", "CHECK", "STATUS"} {
		n.fails(command, "c1", spec.InvalidConfig, `ipam.dataDir "leases" is relative: give an absolute path`)
	}
	n.ipam = `"routes":[]` // STATUS does without ranges
	n.fails("STATUS", "", spec.InvalidConfig, `ipam.dataDir "leases" is relative`)
	n.tree()

	n.write("10.1.2.5", "c1\r\neth0")
	n.write("10.1.2.6", "c2\r\neth0")
	n.must("DEL", "c1")
	n.holds("10.1.2.6=c2/eth0")
	n.valid()
	n.must("GC", "")
	n.holds()
}

// TestDirectoryRemovedUnderWaiters: a first ADD that fails after all takes the
// directory away, with the lock that another one is waiting for.
func TestDirectoryRemovedUnderWaiters(t *testing.T) {
	n := untouched(t, dualStack)
	s, err := makeStore(context.Background(), n.dir, "net")
	if err != nil {
		t.Fatal(err)
	}
	if len(s.made) != 3 || !strings.HasSuffix(s.made[0], "/cni") {
		t.Errorf("made %v", s.made)
	}
	answers := make(chan answer)
	for _, command := range []string{"ADD", "DEL", "CHECK"} {
		go func() { answers <- n.run(command, "c1") }()
	}
	waitForLock(t, n.path("lock"), 3)
	if err := s.unmake(); err != nil {
		t.Fatal(err)
	}
	n.nothingMade()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if a := <-answers; a.Code != 0 && a.Code != spec.CheckFailed {
			t.Errorf("a waiter: code %d %s", a.Code, a.Msg)
		}
	}
	n.must("DEL", "c1")
	n.must("ADD", "c1")
	n.consistent()
}

// TestLeasedWhileMaking: somebody was faster and holds a lease in the directory
// that our failing ADD made.
func TestLeasedWhileMaking(t *testing.T) {
	n := untouched(t, dualStack)
	s, err := makeStore(context.Background(), n.dir, "net")
	if err != nil {
		t.Fatal(err)
	}
	n.write("10.1.2.5", "c9\r\neth0")
	if err := s.unmake(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	n.holds("10.1.2.5=c9/eth0")
	n.must("CHECK", "c9")
}
