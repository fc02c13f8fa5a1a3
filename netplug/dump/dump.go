// Package dump reads lists of the kernel's objects whole. A list that does not
// fit into one netlink message is handed out in parts, and what changes between
// them may be missing from it, or there twice. The kernel says so
// (NLM_F_DUMP_INTR, include/uapi/linux/netlink.h); all that helps is to read the
// list again.
package dump

import (
	"errors"
	"syscall"
	"time"

	"github.com/mascri/mascri/spec"
)

// The bounds of reading again. Whatever changes the tables does so in bursts: the
// first attempts follow at once, the later ones, some two seconds in all, outlast
// one.
const (
	attempts     = 50
	firstPause   = 100 * time.Microsecond
	longestPause = 50 * time.Millisecond
)

// Whole reads until no change has interrupted it, which read reports as EINTR.
// When that never happens, the error has code 11: the caller may try again.
func Whole[T any](read func() ([]T, error)) ([]T, error) {
	pause := firstPause
	for attempt := 1; ; attempt++ {
		all, err := read()
		switch {
		case err == nil:
			return all, nil
		case !errors.Is(err, syscall.EINTR):
			return nil, err
		case attempt == attempts:
			return nil, spec.Errorf(spec.TryAgain, "what is read changed during each of %d readings: try again when the node is less busy: %w", attempts, err)
		}
		time.Sleep(pause)
		pause = min(2*pause, longestPause)
	}
}
