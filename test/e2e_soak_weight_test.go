//go:build e2e && linux

package test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"time"

	"github.com/mascri/mascri/test/figures"
)

// weight is what the daemon holds of the machine.
type weight struct {
	memory     int // resident, kB
	live       int // what its collector finds in use, kB
	goroutines int
	threads    int
	files      int // open descriptors
}

// weigh reads the daemon's weight: proc_pid_fd(5), proc_pid_status(5), and the
// profiles of goroutines and of the heap, which is collected first.
func (n *node) weigh() weight {
	n.t.Helper()
	return weight{
		memory:     n.statusOfDaemon("VmRSS"),
		live:       n.number(n.profile("heap?gc=1&debug=1"), `# HeapAlloc = (\d+)`) >> 10,
		goroutines: n.number(n.profile("goroutine?debug=1"), `goroutine profile: total (\d+)`),
		threads:    n.statusOfDaemon("Threads"),
		files:      len(n.entries(fmt.Sprintf("/proc/%d/fd", n.daemon.Process.Pid))),
	}
}

// statusOfDaemon is a number in proc_pid_status(5); of memory, in kB.
func (n *node) statusOfDaemon(key string) int {
	n.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.daemon.Process.Pid))
	if err != nil {
		n.t.Fatal(err)
	}
	return n.number(string(text), key+`:\s+(\d+)`)
}

// profile is a text of the daemon's pprof pages.
func (n *node) profile(name string) string {
	n.t.Helper()
	answer, err := http.Get("http://" + monitorAddress + "/debug/pprof/" + name)
	if err != nil {
		n.t.Fatal(err)
	}
	defer answer.Body.Close() // it is read to its end
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		n.t.Fatalf("profile %s: %s, %v", name, answer.Status, err)
	}
	return string(text)
}

// number finds a number in a text.
func (n *node) number(text, pattern string) int {
	n.t.Helper()
	found := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if found == nil {
		n.t.Fatalf("no %s in:\n%s", pattern, text)
	}
	number, err := strconv.Atoi(found[1])
	if err != nil {
		n.t.Fatal(err)
	}
	return number
}

const (
	// idleConnections to the engine are kept by its client for later calls, with
	// two goroutines each.
	idleConnections = 6
	// liveSlack is how much more memory, in kB, may be in use after the rounds
	// than before: the steps of the latest 128 sandboxes are kept for
	// PodSandboxStatus, some 14 kB each.
	liveSlack = 3 << 10
)

// assertLight fails the test unless the daemon, left alone, comes back to what it
// was before the first round. Go gives back no threads, and memory to the kernel
// only when that wants it, so these may grow to what a round needs.
func (n *node) assertLight(weights []weight) (last weight) {
	n.t.Helper()
	before, first := weights[0], weights[1]
	eventually(n.t, func() error {
		last = n.weigh()
		switch {
		case last.files > before.files+idleConnections:
			return errorf("%d files are open, %d were before", last.files, before.files)
		case last.goroutines > before.goroutines+2*idleConnections:
			return errorf("%d goroutines, %d were before", last.goroutines, before.goroutines)
		case last.live > before.live+liveSlack:
			return errorf("%d kB in use, %d were before", last.live, before.live)
		}
		return nil
	})
	if last.threads > first.threads+soakWorkers {
		n.t.Errorf("%d threads, %d after the first round", last.threads, first.threads)
	}
	return last
}

// write writes the soak's figures.
func (s *soak) write(took time.Duration, weights []weight) {
	s.t.Helper()
	tb := figures.Table{Name: "soak", Header: []string{"after", "resident, MB", "in use, MB", "goroutines", "threads", "open files"}}
	for i, w := range weights {
		when := fmt.Sprintf("round %d", i)
		switch i {
		case 0:
			when = "the daemon's start"
		case len(weights) - 1:
			when = "a while of rest"
		}
		tb.Add(when, fmt.Sprintf("%.1f", float64(w.memory)/1024), fmt.Sprintf("%.1f", float64(w.live)/1024),
			strconv.Itoa(w.goroutines), strconv.Itoa(w.threads), strconv.Itoa(w.files))
	}
	tb.Write(s.t, *page)
	s.t.Logf("%d pods, %d kills, %d calls, %d more cut off, %s in all", *soakPods, s.outages.Load()/2, s.done.Load(), s.repeated.Load(), took.Round(time.Second))
}
