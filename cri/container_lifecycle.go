package cri

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mascri/mascri/cri/docker"
)

// StartContainer starts a container that was created and never started.
func (c *containers) StartContainer(ctx context.Context, r *runtimeapi.StartContainerRequest) (*runtimeapi.StartContainerResponse, error) {
	w, err := c.findContainer(ctx, r.GetContainerId())
	if err != nil {
		return nil, err
	}
	if w.criState() != runtimeapi.ContainerState_CONTAINER_CREATED {
		return nil, status.Errorf(codes.FailedPrecondition, "start container %s: it is %s; only a container that was never started can be", short(w.ID), w.State)
	}
	if err := c.startContainer(ctx, w); err != nil {
		return nil, fmt.Errorf("start container %s (%s): %w", short(w.ID), w.config.GetMetadata().GetName(), err)
	}
	return &runtimeapi.StartContainerResponse{}, nil
}

// startContainer starts a container and what goes with it: its log, and the
// limits that Docker does not know. A container that runs without them is
// killed. Docker keeps the first lines until the log is followed; it names the
// file they are in only after the start.
func (c *containers) startContainer(ctx context.Context, w workload) error {
	if err := c.engine.Start(ctx, w.ID); err != nil {
		return err
	}
	err := c.equip(ctx, w.ID)
	if err == nil {
		return nil
	}
	undoing, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	return errors.Join(err, c.kill(undoing, w.ID))
}

func (c *containers) equip(ctx context.Context, id string) error {
	w, err := c.findContainer(ctx, id)
	if err != nil {
		return err
	}
	if w.State != docker.Running { // it was quick
		c.finishLog(ctx, w)
		return nil
	}
	if err := c.followLog(w); err != nil || c.config.RemoteEngine {
		return err
	}
	err = c.writeCgroup(w, w.config.GetLinux().GetResources())
	if errors.Is(err, docker.ErrNotRunning) { // it was quick after all
		return nil
	}
	return err
}

// maxGrace bounds how long a container may take to stop; it keeps the sum with
// other times representable.
const maxGrace = 24 * time.Hour

// StopContainer sends the container its stop signal and, when it still runs
// after the timeout, SIGKILL. It succeeds for a container that does not run or
// does not exist.
func (c *containers) StopContainer(ctx context.Context, r *runtimeapi.StopContainerRequest) (*runtimeapi.StopContainerResponse, error) {
	if r.GetContainerId() == "" {
		return nil, invalid("container_id", "is empty")
	}
	if r.GetTimeout() < 0 {
		return nil, invalid("timeout", "is %d seconds", r.GetTimeout())
	}
	w, err := c.findContainer(ctx, r.GetContainerId())
	if errors.Is(err, errNotFound) {
		return &runtimeapi.StopContainerResponse{}, nil
	}
	if err != nil {
		return nil, err
	}
	if w.State == docker.Created { // there is no process to stop, and Docker would mark it exited
		return &runtimeapi.StopContainerResponse{}, nil
	}
	grace := min(time.Duration(min(r.GetTimeout(), int64(maxGrace/time.Second)))*time.Second, maxGrace)
	if err := ignoreNotFound(c.engine.Stop(ctx, w.ID, grace)); err != nil {
		return nil, err
	}
	return &runtimeapi.StopContainerResponse{}, nil
}

// RemoveContainer removes a container, killing it where it runs. It succeeds
// for one that does not exist.
func (c *containers) RemoveContainer(ctx context.Context, r *runtimeapi.RemoveContainerRequest) (*runtimeapi.RemoveContainerResponse, error) {
	if r.GetContainerId() == "" {
		return nil, invalid("container_id", "is empty")
	}
	w, err := c.findContainer(ctx, r.GetContainerId())
	if errors.Is(err, errNotFound) {
		return &runtimeapi.RemoveContainerResponse{}, nil
	}
	if err != nil {
		return nil, err
	}
	if w.criState() == runtimeapi.ContainerState_CONTAINER_RUNNING {
		if err := c.kill(ctx, w.ID); err != nil {
			return nil, err
		}
		if w, err = c.findContainer(ctx, w.ID); errors.Is(err, errNotFound) {
			return &runtimeapi.RemoveContainerResponse{}, nil
		} else if err != nil {
			return nil, err
		}
	}
	c.finishLog(ctx, w) // Docker's file goes with the container
	if err := ignoreNotFound(c.engine.Remove(ctx, w.ID)); err != nil {
		return nil, err
	}
	c.forgetLog(w.ID)
	return &runtimeapi.RemoveContainerResponse{}, nil
}

// UpdateContainerResources changes limits of a container; a field that is zero
// leaves its limit as it is. oom_score_adj holds from the start of a process and
// is not changed.
func (c *containers) UpdateContainerResources(ctx context.Context, r *runtimeapi.UpdateContainerResourcesRequest) (*runtimeapi.UpdateContainerResourcesResponse, error) {
	if r.GetWindows() != nil {
		return nil, invalid("windows", "these are Linux containers")
	}
	if err := checkResources("linux.", r.GetLinux()); err != nil {
		return nil, err
	}
	if err := c.checkLimits(c.facts(ctx), "linux.", r.GetLinux()); err != nil {
		return nil, err
	}
	w, err := c.findContainer(ctx, r.GetContainerId())
	if err != nil {
		return nil, err
	}
	runs := w.State == docker.Running || w.State == docker.Paused
	if !runs && hasOwnLimits(r.GetLinux()) {
		return nil, fmt.Errorf("update container %s: linux.unified and linux.hugepage_limits are written to a control group: %w", short(w.ID), docker.ErrNotRunning)
	}
	if err := c.engine.Update(ctx, w.ID, limitsOf(r.GetLinux())); err != nil {
		return nil, err
	}
	if runs && !c.config.RemoteEngine {
		if err := c.writeCgroup(w, r.GetLinux()); err != nil {
			return nil, fmt.Errorf("update container %s: %w", short(w.ID), err)
		}
	}
	return &runtimeapi.UpdateContainerResourcesResponse{}, nil
}

// UpdatePodSandboxResources is told what the pod's resources are now. They are
// limits of the control group above the pod's containers, which is the
// caller's; its containers' own come with UpdateContainerResources.
func (c *containers) UpdatePodSandboxResources(ctx context.Context, r *runtimeapi.UpdatePodSandboxResourcesRequest) (*runtimeapi.UpdatePodSandboxResourcesResponse, error) {
	if _, err := c.find(ctx, r.GetPodSandboxId()); err != nil {
		return nil, err
	}
	return &runtimeapi.UpdatePodSandboxResourcesResponse{}, nil
}
