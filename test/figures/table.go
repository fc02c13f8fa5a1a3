// Package figures writes what benchmarks measured into the page that shows it:
// tables between markers, each with a line about the machine.
package figures

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Table is one table of a page. On the page it stands between the markers
// <!-- NAME --> and <!-- /NAME -->.
type Table struct {
	Name   string
	Header []string

	rows [][]string
}

// Add adds a row with as many cells as the header has.
func (tb *Table) Add(cells ...string) { tb.rows = append(tb.rows, cells) }

// String is the table in Markdown.
func (tb *Table) String() string {
	var b strings.Builder
	line := func(cells []string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	line(tb.Header)
	line(strings.Split(strings.Repeat("--- ", len(tb.Header)-1)+"---", " "))
	for _, row := range tb.rows {
		line(row)
	}
	return b.String()
}

// Write shows the table, and puts it between its markers in the file page; ""
// is no file.
func (tb *Table) Write(t testing.TB, page string) {
	t.Helper()
	t.Logf("%s\n%s", tb.Name, tb)
	if page == "" {
		return
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	open, end := "<!-- "+tb.Name+" -->\n", "<!-- /"+tb.Name+" -->"
	head, rest, ok := strings.Cut(string(text), open)
	_, tail, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has no markers %q and %q", page, open, end)
	}
	text = []byte(head + open + "\n" + machine() + "\n" + tb.String() + "\n" + end + tail)
	temporary := page + ".new"
	if err := os.WriteFile(temporary, text, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(temporary, page); err != nil {
		t.Fatal(err)
	}
}

// MS prints a duration in milliseconds.
func MS(d time.Duration) string { return fmt.Sprintf("%.2f", float64(d)/float64(time.Millisecond)) }

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
