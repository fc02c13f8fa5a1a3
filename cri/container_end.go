package cri

import (
	"context"
	"time"

	"github.com/mascri/mascri/cri/docker"
)

// reason is why the container ended, in the words that the kubelet shows.
func (w workload) reason() string {
	switch {
	case w.State == docker.Created:
		return "StartError"
	case w.OOMKilled:
		return "OOMKilled"
	case w.ExitCode == 0:
		return "Completed"
	}
	return "Error"
}

// finished is when the container ended. One that could not be started ended as
// it began: the engine notes no time, and a kubelet that is told of none sees an
// end long ago, and tries again every second instead of backing off
// (kuberuntime_manager.go, doBackOff).
func (w workload) finished() time.Time {
	if w.Finished.IsZero() {
		return w.created
	}
	return w.Finished
}

const (
	// exitKilled is the exit code of a process that SIGKILL ended.
	exitKilled = 128 + 9
	// oomDelay is how long after a container's end the engine may say that it
	// ran out of memory. The kernel's word of each comes to containerd on a way
	// of its own; the second was seen 25 ms late on a busy machine.
	oomDelay = 200 * time.Millisecond
	oomPoll  = 10 * time.Millisecond
)

// awaitOOM gives the engine time to say that a killed container ran out of
// memory: the kubelet asks once, within that time, and shows what it heard for
// ever. It returns what is known then.
func (c *containers) awaitOOM(ctx context.Context, w workload) (workload, error) {
	// The engine's clock need not be ours.
	end := c.now().Add(min(oomDelay, oomDelay-c.now().Sub(w.Finished)))
	for w.State == docker.Exited && w.ExitCode == exitKilled && !w.OOMKilled && c.now().Before(end) {
		select {
		case <-time.After(oomPoll):
		case <-ctx.Done():
			return w, ctx.Err()
		}
		var err error
		if w, err = c.findContainer(ctx, w.ID); err != nil {
			return w, err
		}
	}
	return w, nil
}
