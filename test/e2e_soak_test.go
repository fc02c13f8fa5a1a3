//go:build e2e && linux

package test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// page is the file whose tables a measuring test writes.
var page = flag.String("o", "", "write the tables into this file, between the markers of each")

// soakPods is the soak's size: make soak runs the full one, make test a short one.
var soakPods = flag.Int("soak-pods", 8, "pods of the soak, each with two containers")

const (
	// soakWorkers is how many calls are under way at any time.
	soakWorkers = 16
	// soakKillAfter is the least time from a daemon's start to its killing; the
	// most is longer by soakKillPerPod a pod, for a start with more takes longer.
	soakKillAfter, soakKillPerPod = time.Second, 150 * time.Millisecond
	// soakRounds is how often pods come and go while one daemon runs.
	soakRounds = 4
)

// Pods with two containers are created, exec'd, stopped and removed in random
// order, many at a time: first while the daemon is killed at random, then in
// rounds under one daemon, which must not grow.
func TestSoak(t *testing.T) {
	importImage(t)
	n := newNode(t, func(n *node) { n.flags = []string{"--monitor-address", monitorAddress, "--pprof", "on"} })
	s := &soak{node: n, logs: filepath.Join(n.dir, "pods")}
	begin := time.Now()
	s.runWhileKilled(*soakPods)
	s.assertNothingLeft()
	n.restart(syscall.SIGTERM)
	weights := []weight{n.weigh()}
	for round := range soakRounds {
		s.run(fmt.Sprintf("round-%d", round), max(2, *soakPods/soakRounds))
		s.assertNothingLeft()
		weights = append(weights, n.weigh())
	}
	took := time.Since(begin)
	s.write(took, append(weights, n.assertLight(weights)))
}

// soak is many lives of pods under way.
type soak struct {
	*node
	logs string // log_directory of all pods is below

	// outages is odd while the daemon is killed and not yet back.
	outages  atomic.Uint64
	done     atomic.Uint64 // calls that succeeded
	repeated atomic.Uint64 // calls that a kill cut off
}

// runWhileKilled lives the lives of pods while the daemon is killed.
func (s *soak) runWhileKilled(pods int) {
	s.t.Helper()
	over := make(chan struct{})
	go func() {
		defer close(over)
		s.run("killed", pods)
	}()
	for {
		select {
		case <-over:
			return
		case <-time.After(soakKillAfter + rand.N(3*time.Second+time.Duration(pods)*soakKillPerPod)):
		}
		s.outages.Add(1)
		s.restart(syscall.SIGKILL)
		s.outages.Add(1)
	}
}

// run lives the lives of pods: a worker takes any of them, does its next step,
// and puts it back.
func (s *soak) run(name string, pods int) {
	lives := make(chan *life, pods)
	for i := range pods {
		lives <- &life{soak: s, name: fmt.Sprintf("%s-%d", name, i)}
	}
	var left sync.WaitGroup
	left.Add(pods)
	for range min(soakWorkers, pods) {
		go func() {
			for one := range lives {
				if one.step() {
					left.Done()
					continue
				}
				lives <- one
			}
		}()
	}
	left.Wait()
	close(lives)
}

// try makes a call that a kill of the daemon may cut off; ok tells that it
// succeeded. A failure that no kill explains fails the test.
func (s *soak) try(l *life, what string, call func() error) (ok bool) {
	before := s.outages.Load()
	err := call()
	if err == nil {
		s.done.Add(1)
		return true
	}
	if before%2 == 1 || s.outages.Load() != before {
		s.repeated.Add(1)
		l.cutOff = true
		time.Sleep(100 * time.Millisecond) // rather than to ask nobody all the time
		return false
	}
	s.t.Errorf("%s of %s: %v", what, l.name, err)
	l.failed = true
	return false
}

// assertNothingLeft fails the test unless everything is as before the soak.
func (s *soak) assertNothingLeft() {
	s.t.Helper()
	s.node.assertNothingLeft()
	if left := s.entries(filepath.Join(s.dir, "state", "logs")); len(left) > 0 {
		s.t.Errorf("positions in logs left behind: %v", left)
	}
	if err := os.RemoveAll(s.logs); err != nil { // they are the caller's to remove
		s.t.Error(err)
	}
}
