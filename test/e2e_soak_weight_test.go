//go:build e2e && linux

package test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/mascri/mascri/test/figures"
)

// weight is what the daemon holds of the machine.
type weight struct {
	memory  int // resident, kB
	threads int
	files   int // open descriptors
}

// weigh reads the daemon's weight (proc_pid_status(5), proc_pid_fd(5)).
func (n *node) weigh() weight {
	n.t.Helper()
	dir := fmt.Sprintf("/proc/%d", n.daemon.Process.Pid)
	w := weight{files: len(n.entries(dir + "/fd"))}
	text, err := os.ReadFile(dir + "/status")
	if err != nil {
		n.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(line, ":")
		number, _ := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB")) // not all are numbers
		switch key {
		case "VmRSS":
			w.memory = number
		case "Threads":
			w.threads = number
		}
	}
	if w.memory == 0 || w.threads == 0 {
		n.t.Fatalf("no memory or no threads in %s/status:\n%s", dir, text)
	}
	return w
}

const (
	// idleConnections to the engine are kept by its client for later calls.
	idleConnections = 6
	// memorySlack is how much more memory, in kB, the last round may leave than
	// the first: what Go's collector has not given back to the kernel yet.
	memorySlack = 8 << 10
)

// assertLight fails the test unless the daemon, left alone, comes back to what it
// was before the first round, or, where the runtime never gives back (threads,
// memory), stops growing after it.
func (n *node) assertLight(weights []weight) (last weight) {
	n.t.Helper()
	before, first := weights[0], weights[1]
	eventually(n.t, func() error {
		last = n.weigh()
		if last.files > before.files+idleConnections {
			return fmt.Errorf("%d files are open, %d were before", last.files, before.files)
		}
		return nil
	})
	if last.threads > first.threads+soakWorkers {
		n.t.Errorf("%d threads, %d after the first round", last.threads, first.threads)
	}
	if last.memory > first.memory+memorySlack {
		n.t.Errorf("%d kB of memory, %d after the first round", last.memory, first.memory)
	}
	return last
}

// write writes the soak's figures.
func (s *soak) write(took time.Duration, weights []weight) {
	s.t.Helper()
	tb := figures.Table{Name: "soak", Header: []string{"after", "memory, MB", "threads", "open files"}}
	for i, w := range weights {
		when := fmt.Sprintf("round %d", i)
		switch i {
		case 0:
			when = "the daemon's start"
		case len(weights) - 1:
			when = "a while of rest"
		}
		tb.Add(when, fmt.Sprintf("%.1f", float64(w.memory)/1024), strconv.Itoa(w.threads), strconv.Itoa(w.files))
	}
	tb.Write(s.t, *page)
	s.t.Logf("%d pods, %d kills, %d calls, %d more cut off, %s in all", *soakPods, s.outages.Load()/2, s.done.Load(), s.repeated.Load(), took.Round(time.Second))
}
