package podnet

import (
	"context"
	"math"
	"sync"

	"golang.org/x/sync/semaphore"
)

// locks keep the order that section 3 of the CNI specification demands of a
// runtime: one operation at a time for a container, and none for any container
// while GC runs. All waiting ends with the caller's context.
type locks struct {
	gc *semaphore.Weighted // held once by each operation, wholly by GC

	mu  sync.Mutex
	pod map[string]*podLock
}

// podLock is a mutex that can be waited for with a context: whoever put a
// value into the channel holds it.
type podLock struct {
	held  chan struct{}
	users int // holder and waiters; the entry goes with the last
}

func newLocks() *locks {
	return &locks{gc: semaphore.NewWeighted(math.MaxInt64), pod: map[string]*podLock{}}
}

// lockPod waits for the pod's turn and returns the function that ends it.
func (l *locks) lockPod(ctx context.Context, id string) (unlock func(), err error) {
	if err := l.gc.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	p := l.use(id)
	select {
	case p.held <- struct{}{}:
		return func() {
			<-p.held
			l.drop(id, p)
			l.gc.Release(1)
		}, nil
	case <-ctx.Done():
		l.drop(id, p)
		l.gc.Release(1)
		return nil, ctx.Err()
	}
}

// lockAll waits until no operation is under way and keeps new ones waiting.
func (l *locks) lockAll(ctx context.Context) (unlock func(), err error) {
	if err := l.gc.Acquire(ctx, math.MaxInt64); err != nil {
		return nil, err
	}
	return func() { l.gc.Release(math.MaxInt64) }, nil
}

func (l *locks) use(id string) *podLock {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.pod[id]
	if p == nil {
		p = &podLock{held: make(chan struct{}, 1)}
		l.pod[id] = p
	}
	p.users++
	return p
}

func (l *locks) drop(id string, p *podLock) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p.users--; p.users == 0 {
		delete(l.pod, id)
	}
}
