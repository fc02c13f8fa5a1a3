//go:build privileged

package netplug

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestAddressIsHeldWhileTheLinkExists: when DEL gives the address back, the next
// ADD may hand it out at once, so neither end of the old link may be there.
func TestAddressIsHeldWhileTheLinkExists(t *testing.T) {
	l := newLab(t)
	config := l.config(`"isDefaultGateway":true,` + v4)
	pod := l.pod()
	l.must(call{command: "ADD", id: "a", netns: pod, config: config})

	ipam, seen := filepath.Join(l.TempDir(), "ipam"), filepath.Join(l.TempDir(), "seen")
	if err := os.Rename(filepath.Join(l.bin, "ipam"), ipam); err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf("#!/bin/sh\n{ ip -o link show type veth; nsenter --net=$CNI_NETNS ip -o link show type veth; } >%s 2>&1\nexec %s\n", seen, ipam)
	if err := os.WriteFile(filepath.Join(l.bin, "ipam"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	l.must(call{command: "DEL", id: "a", netns: pod, config: config})
	links, err := os.ReadFile(seen)
	if err != nil {
		t.Fatalf("the IPAM plugin was not asked: %v", err)
	}
	if len(links) > 0 {
		t.Errorf("there when the address was given back:\n%s", links)
	}
	if left := strings.TrimSpace(l.leftovers()); left != "" {
		t.Errorf("left after DEL: %s", left)
	}
}
