package docker

import (
	"context"
	"fmt"
)

// limiter admits a fixed number of requests at a time, so that under load
// latency grows and not the number of failures.
type limiter chan struct{}

func newLimiter(n int) limiter { return make(limiter, max(1, n)) }

// do runs f when there is room, or gives up with ctx.
func (l limiter) do(ctx context.Context, f func() error) error {
	select {
	case l <- struct{}{}:
		defer func() { <-l }()
		return f()
	case <-ctx.Done():
		return fmt.Errorf("wait for a turn (%d at a time): %w", cap(l), ctx.Err())
	}
}
