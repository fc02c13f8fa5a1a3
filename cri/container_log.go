package cri

import (
	"context"
	"errors"
	"fmt"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mascri/mascri/cri/docker"
	"github.com/mascri/mascri/cri/logs"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// keepsLog tells whether a CRI log is written for the container. Docker names
// the file it writes only once the container has been started, so that before
// w.LogPath may be empty.
func (c *containers) keepsLog(w workload) bool {
	return c.logs != nil && w.logPath != "" && w.LogPath != ""
}

func (w workload) log() logs.Container {
	return logs.Container{ID: w.ID, Source: w.LogPath, Path: w.logPath}
}

// followLog converts what the container writes from now on.
func (c *containers) followLog(w workload) error {
	if !c.keepsLog(w) {
		return nil
	}
	if err := c.logs.Start(w.log()); err != nil {
		return fmt.Errorf("write the log %s: %w", w.logPath, err)
	}
	return nil
}

// finishLog completes the log of a container that has ended. A log that cannot
// be written must not keep its container from being stopped and removed, so the
// error is only spoken of.
func (c *containers) finishLog(ctx context.Context, w workload) {
	if !c.keepsLog(w) || w.Finished.IsZero() {
		return
	}
	if err := c.logs.Finish(ctx, w.log(), w.Finished); err != nil {
		c.log.Error("the log of a container is not complete", "container", w.ID, "path", w.logPath, "error", err)
	}
}

func (c *containers) forgetLog(id string) {
	if c.logs == nil {
		return
	}
	if err := c.logs.Remove(id); err != nil {
		c.log.Error("a removed container's log position stays", "container", id, "error", err)
	}
}

// ReopenContainerLog goes on in a new file at the log's path, after the caller
// has renamed the old one.
func (c *containers) ReopenContainerLog(ctx context.Context, r *runtimeapi.ReopenContainerLogRequest) (*runtimeapi.ReopenContainerLogResponse, error) {
	w, err := c.findContainer(ctx, r.GetContainerId())
	if err != nil {
		return nil, err
	}
	if w.State != docker.Running && w.State != docker.Paused {
		return nil, fmt.Errorf("reopen the log of %s: %w", short(w.ID), docker.ErrNotRunning)
	}
	if !c.keepsLog(w) {
		return nil, status.Errorf(codes.FailedPrecondition, "container %s has no log: it was created without log_path, or its sandbox without log_directory", short(w.ID))
	}
	err = c.logs.Reopen(w.ID)
	if errors.Is(err, logs.ErrUnknown) { // it is being followed from now on
		if err = c.followLog(w); err == nil {
			err = c.logs.Reopen(w.ID)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("reopen the log %s: %w", w.logPath, err)
	}
	return &runtimeapi.ReopenContainerLogResponse{}, nil
}

// resumeLogs goes on with the logs of running containers, completes those of
// containers that ended unseen, and forgets those of containers that are gone.
func (c *containers) resumeLogs(ctx context.Context) error {
	if c.logs == nil {
		return nil
	}
	all, err := c.workloads(ctx)
	if err != nil {
		return err
	}
	var errs []error
	keep := map[string]bool{}
	for _, w := range all {
		keep[w.ID] = true
		errs = append(errs, c.resumeLog(ctx, w.ID))
	}
	return errors.Join(append(errs, c.logs.Keep(keep))...)
}

func (c *containers) resumeLog(ctx context.Context, id string) error {
	w, err := c.findContainer(ctx, id)
	switch {
	case errors.Is(err, errNotFound):
		return nil
	case err != nil:
		return err
	case w.criState() == runtimeapi.ContainerState_CONTAINER_RUNNING:
		return c.followLog(w)
	}
	c.finishLog(ctx, w)
	return nil
}
