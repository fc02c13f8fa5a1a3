package cri

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mascri/mascri/cri/docker"
	"github.com/mascri/mascri/cri/stats"
)

// errNoStats: there is nothing to read them from.
var errNoStats = status.Error(codes.Unimplemented, "statistics are read from the control groups, which are on another machine with the engine")

// ContainerStats measures one container. One that does not run has used nothing
// but the room of its files.
func (c *containers) ContainerStats(ctx context.Context, r *runtimeapi.ContainerStatsRequest) (*runtimeapi.ContainerStatsResponse, error) {
	if c.stats == nil {
		return nil, errNoStats
	}
	w, err := c.findContainer(ctx, r.GetContainerId())
	if err != nil {
		return nil, err
	}
	measured, err := c.stats.Container(stats.Target{ID: w.ID, PID: w.PID})
	if errors.Is(err, stats.ErrGone) {
		measured, err = &runtimeapi.ContainerStats{}, nil
	}
	if err != nil {
		return nil, err
	}
	return &runtimeapi.ContainerStatsResponse{Stats: measured}, c.complete(measured, w)
}

// complete adds what the collector does not know.
func (c *containers) complete(measured *runtimeapi.ContainerStats, w workload) error {
	measured.Attributes = &runtimeapi.ContainerAttributes{
		Id: w.ID, Metadata: w.config.GetMetadata(), Labels: w.config.GetLabels(), Annotations: w.config.GetAnnotations(),
	}
	size, ok, err := c.layers.of(w.Container)
	if err != nil {
		return fmt.Errorf("measure the files of container %s: %w", short(w.ID), err)
	}
	if ok {
		measured.WritableLayer = size.usage()
	}
	return nil
}

// ListContainerStats measures the running containers that match the filter.
func (c *containers) ListContainerStats(ctx context.Context, r *runtimeapi.ListContainerStatsRequest) (*runtimeapi.ListContainerStatsResponse, error) {
	list, err := c.containerStats(ctx, r.GetFilter())
	return &runtimeapi.ListContainerStatsResponse{Stats: list}, err
}

func (c *containers) containerStats(ctx context.Context, filter *runtimeapi.ContainerStatsFilter) ([]*runtimeapi.ContainerStats, error) {
	if c.stats == nil {
		return nil, errNoStats
	}
	all, err := c.runningWorkloads(ctx)
	if err != nil {
		return nil, err
	}
	byID := map[string]workload{}
	var targets []stats.Target
	for _, w := range all {
		if strings.HasPrefix(w.ID, filter.GetId()) && strings.HasPrefix(w.sandbox, filter.GetPodSandboxId()) &&
			hasLabels(w.config.GetLabels(), filter.GetLabelSelector()) {
			byID[w.ID] = w
			targets = append(targets, stats.Target{ID: w.ID, PID: w.PID})
		}
	}
	list, err := c.stats.Containers(ctx, targets)
	if err != nil {
		return nil, err
	}
	for _, one := range list {
		if err := c.complete(one, byID[one.GetAttributes().GetId()]); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// runningWorkloads are the containers that run, with their processes.
func (c *containers) runningWorkloads(ctx context.Context) ([]workload, error) {
	all, err := c.workloads(ctx)
	if err != nil {
		return nil, err
	}
	var running []workload
	for _, w := range all {
		if w.State != docker.Running && w.State != docker.Paused {
			continue
		}
		if w.PID == 0 { // a line of the engine's list has none
			w, err = c.findContainer(ctx, w.ID)
			if errors.Is(err, errNotFound) {
				continue
			}
			if err != nil {
				return nil, err
			}
		}
		running = append(running, w)
	}
	return running, nil
}
