package cri

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mascri/mascri/cri/docker"
	"github.com/mascri/mascri/cri/stats"
)

// podTarget is a running pod with what it takes to measure it.
type podTarget struct {
	sandbox
	container  docker.Container // the sandbox's own
	containers map[string]workload
}

// target is the pod in the collector's terms.
func (p podTarget) target() stats.Pod {
	pod := stats.Pod{
		Sandbox:     stats.Target{ID: p.id, PID: p.container.PID},
		OwnCgroup:   p.config.GetLinux().GetCgroupParent() != "",
		HostNetwork: p.onHostNetwork(),
	}
	for _, w := range p.containers {
		pod.Containers = append(pod.Containers, stats.Target{ID: w.ID, PID: w.PID})
	}
	return pod
}

// PodSandboxStats measures one pod with its containers.
func (c *containers) PodSandboxStats(ctx context.Context, r *runtimeapi.PodSandboxStatsRequest) (*runtimeapi.PodSandboxStatsResponse, error) {
	sandbox, err := c.find(ctx, r.GetPodSandboxId())
	if err != nil {
		return nil, err
	}
	list, err := c.podStats(ctx, &runtimeapi.PodSandboxStatsFilter{Id: sandbox.id})
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("sandbox %s: %w", short(sandbox.id), docker.ErrNotRunning)
	}
	return &runtimeapi.PodSandboxStatsResponse{Stats: list[0]}, nil
}

// ListPodSandboxStats measures the running pods that match the filter.
func (c *containers) ListPodSandboxStats(ctx context.Context, r *runtimeapi.ListPodSandboxStatsRequest) (*runtimeapi.ListPodSandboxStatsResponse, error) {
	list, err := c.podStats(ctx, r.GetFilter())
	return &runtimeapi.ListPodSandboxStatsResponse{Stats: list}, err
}

func (c *containers) podStats(ctx context.Context, filter *runtimeapi.PodSandboxStatsFilter) ([]*runtimeapi.PodSandboxStats, error) {
	if c.stats == nil {
		return nil, errNoStats
	}
	pods, err := c.runningPods(ctx, filter)
	if err != nil {
		return nil, err
	}
	byID := map[string]podTarget{}
	var targets []stats.Pod
	for _, p := range pods {
		byID[p.id] = p
		targets = append(targets, p.target())
	}
	list, err := c.stats.Pods(ctx, targets)
	if err != nil {
		return nil, err
	}
	for _, one := range list {
		p := byID[one.GetAttributes().GetId()]
		one.Attributes = &runtimeapi.PodSandboxAttributes{
			Id: p.id, Metadata: p.config.GetMetadata(), Labels: p.config.GetLabels(), Annotations: p.config.GetAnnotations(),
		}
		for _, container := range one.GetLinux().GetContainers() {
			if err := c.complete(container, p.containers[container.GetAttributes().GetId()]); err != nil {
				return nil, err
			}
		}
	}
	return list, nil
}

// runningPods are the pods whose sandbox runs, with their running containers.
func (c *containers) runningPods(ctx context.Context, filter *runtimeapi.PodSandboxStatsFilter) ([]podTarget, error) {
	sandboxes, err := c.sandboxes(ctx)
	if err != nil {
		return nil, err
	}
	workloads, err := c.runningWorkloads(ctx)
	if err != nil {
		return nil, err
	}
	var pods []podTarget
	for _, s := range sandboxes {
		if s.state != docker.Running || !strings.HasPrefix(s.id, filter.GetId()) || !hasLabels(s.config.GetLabels(), filter.GetLabelSelector()) {
			continue
		}
		p := podTarget{sandbox: s, containers: map[string]workload{}}
		if p.container, err = c.inspect(ctx, s.id); errors.Is(err, errNotFound) {
			continue
		} else if err != nil {
			return nil, err
		}
		for _, w := range workloads {
			if w.sandbox == s.id {
				p.containers[w.ID] = w
			}
		}
		pods = append(pods, p)
	}
	return pods, nil
}

// sampled are the pods whose CPU counters are read in the background.
func (c *containers) sampled(ctx context.Context) []stats.Pod {
	pods, err := c.runningPods(ctx, nil)
	if err != nil { // the engine is away; rates begin anew when it is back
		c.log.Debug("no pods to sample", "error", err)
	}
	var targets []stats.Pod
	for _, p := range pods {
		targets = append(targets, p.target())
	}
	return targets
}

// ListMetricDescriptors describes the metrics that ListPodSandboxMetrics may
// answer.
func (c *containers) ListMetricDescriptors(context.Context, *runtimeapi.ListMetricDescriptorsRequest) (*runtimeapi.ListMetricDescriptorsResponse, error) {
	if c.stats == nil {
		return nil, errNoStats
	}
	return &runtimeapi.ListMetricDescriptorsResponse{Descriptors: stats.Descriptors()}, nil
}

// ListPodSandboxMetrics measures all running pods, with the names that cAdvisor
// gave the metrics.
func (c *containers) ListPodSandboxMetrics(ctx context.Context, _ *runtimeapi.ListPodSandboxMetricsRequest) (*runtimeapi.ListPodSandboxMetricsResponse, error) {
	list, err := c.podMetrics(ctx)
	return &runtimeapi.ListPodSandboxMetricsResponse{PodMetrics: list}, err
}

func (c *containers) podMetrics(ctx context.Context) ([]*runtimeapi.PodSandboxMetrics, error) {
	if c.stats == nil {
		return nil, errNoStats
	}
	pods, err := c.runningPods(ctx, nil)
	if err != nil {
		return nil, err
	}
	var targets []stats.MetricPod
	for _, p := range pods {
		m := p.config.GetMetadata()
		target := stats.MetricPod{
			Namespace: m.GetNamespace(), Name: m.GetName(), HostNetwork: p.onHostNetwork(),
			Sandbox: c.metricTarget(p.container, "", p.container.Image),
		}
		for _, w := range p.containers {
			target.Containers = append(target.Containers, c.metricTarget(w.Container, w.config.GetMetadata().GetName(), w.image().GetImage()))
		}
		targets = append(targets, target)
	}
	return c.stats.Metrics(ctx, targets)
}

func (c *containers) metricTarget(container docker.Container, name, image string) stats.MetricTarget {
	target := stats.MetricTarget{
		Target:    stats.Target{ID: container.ID, PID: container.PID},
		Container: name, Image: image, Started: container.Started,
	}
	// Where the files cannot be measured, the metrics go without their size.
	if size, ok, err := c.layers.of(container); ok && err == nil {
		target.Filesystem.Used, target.Filesystem.Inodes = size.bytes, size.inodes
	}
	return target
}

// StreamContainerStats is ListContainerStats in messages that stay small.
func (c *containers) StreamContainerStats(r *runtimeapi.StreamContainerStatsRequest, out grpc.ServerStreamingServer[runtimeapi.StreamContainerStatsResponse]) error {
	list, err := c.containerStats(out.Context(), r.GetFilter())
	if err != nil {
		return err
	}
	return sendChunks(list, func(part []*runtimeapi.ContainerStats) error {
		return out.Send(&runtimeapi.StreamContainerStatsResponse{ContainerStats: part})
	})
}

// StreamPodSandboxStats is ListPodSandboxStats in messages that stay small.
func (c *containers) StreamPodSandboxStats(r *runtimeapi.StreamPodSandboxStatsRequest, out grpc.ServerStreamingServer[runtimeapi.StreamPodSandboxStatsResponse]) error {
	list, err := c.podStats(out.Context(), r.GetFilter())
	if err != nil {
		return err
	}
	return sendChunks(list, func(part []*runtimeapi.PodSandboxStats) error {
		return out.Send(&runtimeapi.StreamPodSandboxStatsResponse{PodSandboxStats: part})
	})
}

// StreamPodSandboxMetrics is ListPodSandboxMetrics in messages that stay small.
func (c *containers) StreamPodSandboxMetrics(_ *runtimeapi.StreamPodSandboxMetricsRequest, out grpc.ServerStreamingServer[runtimeapi.StreamPodSandboxMetricsResponse]) error {
	list, err := c.podMetrics(out.Context())
	if err != nil {
		return err
	}
	return sendChunks(list, func(part []*runtimeapi.PodSandboxMetrics) error {
		return out.Send(&runtimeapi.StreamPodSandboxMetricsResponse{PodSandboxMetrics: part})
	})
}
