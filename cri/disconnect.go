package cri

import (
	"context"
	"sync"
	"time"
)

const (
	// teardownPatience is for how long a network that cannot be torn down fails
	// StopPodSandbox and RemovePodSandbox. The callers repeat them, so most
	// troubles, a missing plugin say, are seen and mended within it. A pod that
	// nothing can end any more would be worse than a DEL that is still owed.
	teardownPatience = 3 * time.Minute
	// settleInterval is how often a DEL that is owed is tried again.
	settleInterval = time.Minute
)

// firstFailures remembers since when each sandbox's network cannot be torn down.
type firstFailures struct {
	mu    sync.Mutex
	since map[string]time.Time
}

// failing notes a failure and returns for how long it has been going on.
func (f *firstFailures) failing(id string, now time.Time) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.since == nil {
		f.since = map[string]time.Time{}
	}
	first, ok := f.since[id]
	if !ok {
		f.since[id], first = now, now
	}
	return now.Sub(first)
}

func (f *firstFailures) forget(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.since, id)
}

// disconnect takes the pod off the network, if it was meant to be on one. What
// cannot be done for long is written down to be done later, and no longer keeps
// the pod from ending.
func (s *Server) disconnect(ctx context.Context, sandbox sandbox) error {
	if sandbox.onHostNetwork() {
		return nil
	}
	err := s.network.TearDownPod(ctx, sandbox.id, sandbox.attachment)
	if err == nil {
		s.stuck.forget(sandbox.id)
		return nil
	}
	if ctx.Err() != nil || s.stuck.failing(sandbox.id, s.now()) < teardownPatience {
		return err
	}
	if owing := s.network.Owe(sandbox.id, sandbox.attachment); owing != nil {
		return owing
	}
	s.stuck.forget(sandbox.id)
	s.log.Error("a pod's network cannot be torn down: its addresses stay in use until a later attempt succeeds",
		"pod", sandbox.pod, "sandbox", sandbox.id, "next", settleInterval, "error", err)
	return nil
}

// settle tries from time to time to tear down what is owed, until ctx ends.
func (s *Server) settle(ctx context.Context) {
	ticker := time.NewTicker(settleInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := s.network.Settle(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("the network of pods that have gone still cannot be torn down", "error", err)
		}
	}
}
