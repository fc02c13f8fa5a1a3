//go:build bench

package bench

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mascri/mascri/test/figures"
)

// TestPrograms measures what each start of a plugin costs before it does
// anything, its VERSION, beside a Go program that does nothing at all.
func TestPrograms(t *testing.T) {
	n := newNode(t)
	tb := figures.Table{Name: "programs", Header: []string{"plugin", "size, MB", "VERSION, p50 ms", "reference", "size, MB", "VERSION, p50 ms", "bare Go program, ms"}}
	start := func(dir, plugin string) time.Duration {
		took, out := n.run(execution{dir: dir, plugin: plugin, command: "VERSION", config: `{"cniVersion":"1.0.0"}`})
		if plugin != "bare" && !json.Valid([]byte(out)) {
			t.Fatalf("%s VERSION: %s", plugin, out)
		}
		return took
	}
	for _, pair := range [][2]string{{"netplug", "bridge"}, {"ipam", "host-local"}, {"portmap", "portmap"}, {"loopback", "loopback"}} {
		var ours, reference, bare figures.Series
		for range *runs {
			ours = append(ours, start(n.ours, pair[0]))
			reference = append(reference, start(n.reference, pair[1]))
			bare = append(bare, start(filepath.Dir(n.bare), "bare"))
		}
		mine, theirs := megabytes(t, n.ours, pair[0]), megabytes(t, n.reference, pair[1])
		tb.Add(pair[0], fmt.Sprintf("%.2f", mine), figures.MS(ours.P50()), pair[1], fmt.Sprintf("%.2f", theirs), figures.MS(reference.P50()), figures.MS(bare.P50()))
		aimAt("size of "+pair[0]+", MB", mine, 4)
		aimAt("start of "+pair[0]+", ms", float64(ours.P50())/1e6, 2)
	}
	tb.Write(t, *output)
}

// megabytes is a file's size in millions of bytes.
func megabytes(t *testing.T, dir, name string) float64 {
	t.Helper()
	info, err := os.Stat(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return float64(info.Size()) / 1e6
}
