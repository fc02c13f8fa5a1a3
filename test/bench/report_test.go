//go:build bench

package bench

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

var output = flag.String("o", "", "write the tables into this file, between the markers of each")

// runs is how often each operation of a comparison is measured.
var runs = flag.Int("n", 200, "operations to measure on each side")

// series are the durations of one side.
type series []time.Duration

// quantile is the q-th part of the sorted durations: 0.5 is the median.
func (s series) quantile(q float64) time.Duration {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

func (s series) p50() time.Duration { return s.quantile(0.5) }

// ms prints a duration in milliseconds.
func ms(d time.Duration) string { return fmt.Sprintf("%.2f", float64(d)/float64(time.Millisecond)) }

// ratio compares medians.
func ratio(a, b series) string { return fmt.Sprintf("%.2f", float64(a.p50())/float64(b.p50())) }

// table is one table of docs/measurements.md.
type table struct {
	name   string // its marker: <!-- NAME --> … <!-- /NAME -->
	header []string
	rows   [][]string
}

func (tb *table) add(cells ...string) { tb.rows = append(tb.rows, cells) }

func (tb *table) String() string {
	var b strings.Builder
	line := func(cells []string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	line(tb.header)
	line(strings.Split(strings.Repeat("--- ", len(tb.header)-1)+"---", " "))
	for _, row := range tb.rows {
		line(row)
	}
	return b.String()
}

// write shows the table and puts it between its markers in the output file.
func (tb *table) write(t *testing.T) {
	t.Helper()
	t.Logf("%s\n%s", tb.name, tb)
	if *output == "" {
		return
	}
	text, err := os.ReadFile(*output)
	if err != nil {
		t.Fatal(err)
	}
	open, end := "<!-- "+tb.name+" -->\n", "<!-- /"+tb.name+" -->"
	head, rest, ok := strings.Cut(string(text), open)
	_, tail, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has no markers %q and %q", *output, open, end)
	}
	text = []byte(head + open + "\n" + machine() + "\n" + tb.String() + "\n" + end + tail)
	temporary := *output + ".new"
	if err := os.WriteFile(temporary, text, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(temporary, *output); err != nil {
		t.Fatal(err)
	}
}

// machine describes what the figures were taken on.
func machine() string {
	kernel, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		kernel = []byte("unknown kernel")
	}
	return fmt.Sprintf("%s, %d CPUs (%s), Linux %s, %s.\n", time.Now().UTC().Format("2006-01-02"),
		runtime.NumCPU(), processor(), strings.TrimSpace(string(kernel)), runtime.Version())
}

func processor() string {
	out, err := exec.Command("sh", "-c", "sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1").Output()
	if err != nil || len(out) == 0 {
		return runtime.GOARCH
	}
	return strings.TrimSpace(string(out))
}

// size is a file's size in megabytes.
func size(t *testing.T, dir, name string) string {
	t.Helper()
	info, err := os.Stat(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%.2f", float64(info.Size())/1e6)
}
