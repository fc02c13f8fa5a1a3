package podnet

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// One operation at a time for a pod, many at a time for many, none beside GC.
func TestLocks(t *testing.T) {
	l := newLocks()
	var busy [4]atomic.Int32
	var all, most atomic.Int32
	var group sync.WaitGroup
	for i := range 400 {
		group.Go(func() {
			if i%50 == 0 {
				unlock, err := l.lockAll(t.Context())
				if err != nil || all.Load() != 0 {
					t.Errorf("GC runs beside %d operations, %v", all.Load(), err)
				}
				unlock()
				return
			}
			pod := i % len(busy)
			unlock, err := l.lockPod(t.Context(), string(rune('a'+pod)))
			if err != nil || busy[pod].Add(1) != 1 {
				t.Errorf("two operations for one pod, %v", err)
			}
			most.Store(max(most.Load(), all.Add(1)))
			time.Sleep(time.Millisecond)
			all.Add(-1)
			busy[pod].Add(-1)
			unlock()
		})
	}
	group.Wait()
	if most.Load() < 2 {
		t.Error("operations for different pods waited for each other")
	}
	if len(l.pod) != 0 {
		t.Errorf("%d locks are kept although nobody uses them", len(l.pod))
	}
}

func TestLocksEndWithTheContext(t *testing.T) {
	l := newLocks()
	unlock, err := l.lockPod(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := l.lockPod(ctx, "a"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waiting for the pod: %v", err)
	}
	if _, err := l.lockAll(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waiting for all: %v", err)
	}
	unlock()
	unlock, err = l.lockAll(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	unlock()
}
