//go:build bench

package bench

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

var output = flag.String("o", "", "write the tables into this file, between the markers of each")

// runs is how often each operation of a comparison is measured.
var runs = flag.Int("n", 200, "operations to measure on each side")

// size is a file's size in megabytes.
func size(t *testing.T, dir, name string) string {
	t.Helper()
	info, err := os.Stat(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%.2f", float64(info.Size())/1e6)
}
