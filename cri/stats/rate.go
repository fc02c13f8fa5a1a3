package stats

import (
	"sync"
	"time"
)

// minWindow is the shortest time that a rate is taken over: below it the
// scheduler's ticks show.
const minWindow = time.Second

// rates remembers two CPU readings a container, so that a rate can be given at
// any moment over a window of at least minWindow.
type rates struct {
	mu   sync.Mutex
	last map[string]history
}

type history struct{ older, newer cpuReading }

type cpuReading struct {
	at    time.Time
	nanos uint64
}

func newRates() *rates { return &rates{last: make(map[string]history)} }

// observe adds a reading and returns the CPU nanoseconds used a second, up to
// it. ok is false while there is nothing to compare with, as for a container
// seen for the first time.
func (r *rates) observe(id string, now time.Time, nanos uint64) (nanoCores uint64, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.last[id]
	if nanos < h.newer.nanos {
		h = history{} // The counter restarted with the container.
	}
	reading := cpuReading{now, nanos}
	base := h.newer
	if now.Sub(h.newer.at) >= minWindow {
		h = history{older: h.newer, newer: reading}
		r.last[id] = h
	} else {
		base = h.older
	}
	window := now.Sub(base.at)
	if base.at.IsZero() || window < minWindow {
		return 0, false
	}
	return uint64(float64(nanos-base.nanos) / window.Seconds()), true
}

// keep forgets all containers but those in ids.
func (r *rates) keep(ids map[string]bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id := range r.last {
		if !ids[id] {
			delete(r.last, id)
		}
	}
}
