//go:build privileged

package netplug

import (
	"os"
	"path/filepath"
	"testing"
)

// TestAddressIsHeldWhileTheLinkExists: when DEL gives the address back, the next
// ADD may hand it out at once, so neither end of the old link may be there.
func TestAddressIsHeldWhileTheLinkExists(t *testing.T) {
	l := newLab(t)
	config := l.config(`"isDefaultGateway":true,` + v4)
	pod, seen := l.pod(), filepath.Join(l.TempDir(), "seen")
	l.must(call{command: "ADD", id: "a", netns: pod, config: config})
	l.interpose("{ nsenter --net=" + l.node() + " ip -o link show type veth; nsenter --net=$CNI_NETNS ip -o link show type veth; } >" + seen + ` 2>&1
		exec $IPAM`)
	l.must(call{command: "DEL", id: "a", netns: pod, config: config})
	links, err := os.ReadFile(seen)
	if err != nil {
		t.Fatalf("the IPAM plugin was not asked: %v", err)
	}
	if len(links) > 0 {
		t.Errorf("there when the address was given back:\n%s", links)
	}
	if left := l.leftovers(); left != "" {
		t.Errorf("left after DEL: %s", left)
	}
}
