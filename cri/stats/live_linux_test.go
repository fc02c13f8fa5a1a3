package stats

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// self is this test's own process as a container: its control group's path, on
// any machine, contains a slash.
var self = Target{ID: "/", PID: os.Getpid()}

func TestThisMachinesOwnControlGroups(t *testing.T) {
	c, err := New("/")
	if err != nil {
		t.Fatal(err)
	}
	before, err := c.Container(self)
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(50 * time.Millisecond); time.Now().Before(end); {
	}
	after, err := c.Container(self)
	if err != nil {
		t.Fatal(err)
	}
	used := after.GetCpu().GetUsageCoreNanoSeconds().GetValue() - before.GetCpu().GetUsageCoreNanoSeconds().GetValue()
	// Others in the group add to it; the counter's own granularity takes away.
	if used < 20e6 {
		t.Errorf("50 ms of work are counted as %d ns", used)
	}
	links, err := c.links(self)
	if err != nil {
		t.Error(err)
	}
	for _, l := range links {
		if l.name == "lo" || l.name == "" {
			t.Errorf("interface %q", l.name)
		}
	}
}

// hundred is a collector that knows this process's control groups as those of
// 100 containers.
func hundred(b *testing.B) (*Collector, []Target) {
	b.Helper()
	c, err := New("/")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.forgetBut(nil) })
	targets := make([]Target, 100)
	for i := range targets {
		targets[i] = Target{ID: fmt.Sprint(i), PID: self.PID}
		text, err := c.cgroupText(self)
		if err != nil {
			b.Fatal(err)
		}
		c.known[targets[i].ID] = c.hierarchies.find(text, "/")
	}
	return c, targets
}

// BenchmarkContainers100 measures what ListContainerStats costs with 100
// containers: the target is 10 ms.
func BenchmarkContainers100(b *testing.B) {
	c, targets := hundred(b)
	b.ReportAllocs()
	for b.Loop() {
		if all, err := c.Containers(b.Context(), targets); err != nil || len(all) != len(targets) {
			b.Fatal(len(all), err)
		}
	}
}

// BenchmarkSample100 is the background's cost for 100 containers, each 10 s.
func BenchmarkSample100(b *testing.B) {
	c, targets := hundred(b)
	p := Pod{Sandbox: targets[0], Containers: targets[1:]}
	for b.Loop() {
		c.sample([]Pod{p})
	}
}

// The kernel makes a file's content anew for each read(2): one is enough.
func TestAFileIsReadOnce(t *testing.T) {
	files := newOpenFiles()
	defer files.close()
	runtime.LockOSThread() // whose reads are counted
	defer runtime.UnlockOSThread()
	const readings = 100
	before := readCalls(t)
	for range readings {
		if text, err := files.readFile("/proc/self", "status"); err != nil || !bytes.HasSuffix(text, []byte("\n")) {
			t.Fatalf("%q, %v", text, err)
		}
	}
	// Counting them is a few reads more.
	if calls := readCalls(t) - before; calls < readings || calls > readings+10 {
		t.Errorf("%d readings took %d calls", readings, calls)
	}
}

// readCalls is how many read(2) calls this thread has made; see proc_pid_io(5).
func readCalls(t *testing.T) (calls int) {
	t.Helper()
	text, err := os.ReadFile("/proc/thread-self/io")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "syscr: ")
	if _, err := fmt.Sscan(after, &calls); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return calls
}

func TestFilesAreGivenBack(t *testing.T) {
	c, err := New("/")
	if err != nil {
		t.Fatal(err)
	}
	before := kept.Load()
	if _, err := c.Container(self); err != nil {
		t.Fatal(err)
	}
	if kept.Load() == before {
		t.Error("no file is kept open")
	}
	c.sample(nil)
	if now := kept.Load(); now != before {
		t.Errorf("%d files are open, %d were before", now, before)
	}
}
