package docker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/docker/docker/api/types/container"
)

// Start starts a created or stopped container; starting a running one is
// nothing to do. The error of a process that cannot be executed is ErrInvalid.
func (e *Engine) Start(ctx context.Context, id string) error {
	return e.inTurn(ctx, func() error {
		err := e.call(ctx, "start", id, func(ctx context.Context) error {
			return e.client.ContainerStart(ctx, id, container.StartOptions{})
		})
		if err != nil {
			e.oom.startFailed.Store(true)
		}
		return err
	})
}

// Stop sends the container its stop signal and, when it still runs after
// grace, SIGKILL. A container that does not run is nothing to do. grace is
// rounded up to whole seconds; zero kills at once.
func (e *Engine) Stop(ctx context.Context, id string, grace time.Duration) error {
	seconds := int((grace + time.Second - 1) / time.Second)
	return e.callWithin(ctx, e.timeout+grace, "stop", id, func(ctx context.Context) error {
		return e.client.ContainerStop(ctx, id, container.StopOptions{Timeout: &seconds})
	})
}

// Kill sends signal ("SIGKILL", "KILL" or "9") to the container's first
// process. ErrNotRunning: it has none.
func (e *Engine) Kill(ctx context.Context, id, signal string) error {
	return e.call(ctx, "kill", id+" with "+signal, func(ctx context.Context) error {
		return e.client.ContainerKill(ctx, id, signal)
	})
}

// Remove kills the container where it runs and removes it with its anonymous
// volumes; it returns when the container is gone, also where another caller is
// removing it. ErrNotFound: no such container.
func (e *Engine) Remove(ctx context.Context, id string) error {
	err := e.call(ctx, "remove", id, func(ctx context.Context) error {
		return e.client.ContainerRemove(ctx, id, container.RemoveOptions{Force: true, RemoveVolumes: true})
	})
	if errors.Is(err, ErrConflict) {
		return e.awaitRemoval(ctx, id)
	}
	return err
}

// awaitRemoval waits for a removal that someone else has under way.
func (e *Engine) awaitRemoval(ctx context.Context, id string) error {
	err := e.call(ctx, "wait for the removal of", id, func(ctx context.Context) error {
		gone, failed := e.client.ContainerWait(ctx, id, container.WaitConditionRemoved)
		select {
		case <-gone:
			return nil
		case err := <-failed:
			return err
		}
	})
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// Wait waits until the container does not run and returns its exit code; at
// once where it has stopped, or was never started (code 0). It is bounded by
// ctx alone.
func (e *Engine) Wait(ctx context.Context, id string) (exitCode int, err error) {
	exited, failed := e.client.ContainerWait(ctx, id, container.WaitConditionNotRunning)
	select {
	case status := <-exited:
		if status.Error != nil {
			return 0, fmt.Errorf("wait for %s: %s", id, status.Error.Message)
		}
		return int(status.StatusCode), nil
	case err := <-failed:
		return 0, fmt.Errorf("wait for %s: %w", id, classify(err))
	}
}
