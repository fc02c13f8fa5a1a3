package test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestNetplugKnowsItsIPAM: what make builds has the build ID by which netplug knows
// the ipam that it need not start (spec/linked.go), where spec looks for it.
func TestNetplugKnowsItsIPAM(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the plugins")
	}
	bin := t.TempDir()
	forLinux(t, "make", "plugins", "BIN="+bin)
	id := strings.TrimSpace(goTool(t, "tool", "buildid", filepath.Join(bin, "ipam")))
	for plugin, within := range map[string]int{"ipam": 8 << 10, "netplug": 8 << 20} {
		program, err := os.ReadFile(filepath.Join(bin, plugin))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(program[:min(within, len(program))], []byte(id)) {
			t.Errorf("%s does not have ipam's build ID %q in its first %d bytes", plugin, id, within)
		}
	}
}
