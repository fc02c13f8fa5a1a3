package stats

import (
	"context"
	"errors"
	"fmt"
	"time"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// baseLabels are on every metric, with cAdvisor's names and order. id is the
// control group, name the container's ID.
var baseLabels = []string{"container", "id", "image", "name", "namespace", "pod"}

// Filesystem is what the caller knows of a container's writable layer and of
// the file system it is on. The kernel does not account it by container.
type Filesystem struct {
	Device             string // of the file system, as "/dev/sda1"
	Used, Limit        uint64 // bytes
	Inodes, InodesFree uint64 // of the file system
}

// MetricTarget is a container with what its metrics are labelled by.
type MetricTarget struct {
	Target
	Container  string // its name in the pod; "" for the sandbox
	Image      string
	Started    time.Time
	Filesystem Filesystem
}

// MetricPod is a pod with its running containers.
type MetricPod struct {
	Namespace, Name string
	Sandbox         MetricTarget
	Containers      []MetricTarget
	HostNetwork     bool
}

// metric describes one metric and takes its values from a reading.
type metric struct {
	name, help string
	kind       cri.MetricType
	labels     []string // after baseLabels
	values     func(reading) []sample
}

// sample is one value with the values of its metric's own labels.
type sample struct {
	value  uint64
	labels []string
}

// reading is everything read of one container.
type reading struct {
	target MetricTarget
	usage  usage
	detail detail
}

func counter(name, help string, values func(reading) []sample, labels ...string) metric {
	return metric{name, help, cri.MetricType_COUNTER, labels, values}
}

func gauge(name, help string, values func(reading) []sample, labels ...string) metric {
	return metric{name, help, cri.MetricType_GAUGE, labels, values}
}

// Descriptors answers ListMetricDescriptors: every metric that Metrics can
// answer on some machine.
func Descriptors() []*cri.MetricDescriptor {
	var all []*cri.MetricDescriptor
	for _, m := range containerMetrics {
		all = append(all, describe(m.name, m.help, m.labels...))
	}
	for _, m := range networkMetrics {
		all = append(all, describe(m.name, m.help, "interface"))
	}
	return all
}

func describe(name, help string, labels ...string) *cri.MetricDescriptor {
	return &cri.MetricDescriptor{Name: name, Help: help, LabelKeys: append(append([]string{}, baseLabels...), labels...)}
}

// Metrics answers ListPodSandboxMetrics, leaving out pods whose sandbox is gone
// and containers that are.
func (c *Collector) Metrics(ctx context.Context, pods []MetricPod) ([]*cri.PodSandboxMetrics, error) {
	return each(ctx, pods, c.podMetrics)
}

func (c *Collector) podMetrics(p MetricPod) (*cri.PodSandboxMetrics, error) {
	pod := &cri.PodSandboxMetrics{PodSandboxId: p.Sandbox.ID}
	if !p.HostNetwork {
		links, err := c.links(p.Sandbox.Target)
		if err != nil {
			return nil, fmt.Errorf("metrics of pod %s: %w", p.Sandbox.ID, err)
		}
		pod.Metrics = networkSamples(c.labels(p, p.Sandbox), links)
	}
	for _, t := range p.Containers {
		metrics, err := c.containerMetrics(p, t)
		if errors.Is(err, ErrGone) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("metrics of container %s: %w", t.ID, err)
		}
		pod.ContainerMetrics = append(pod.ContainerMetrics, &cri.ContainerMetrics{ContainerId: t.ID, Metrics: metrics})
	}
	return pod, nil
}

func (c *Collector) containerMetrics(p MetricPod, t MetricTarget) ([]*cri.Metric, error) {
	u, err := c.usage(t.Target)
	if err != nil {
		return nil, err
	}
	g, err := c.groups(t.Target)
	if err != nil {
		return nil, err
	}
	d, err := c.detail(t.Target, g, u)
	if err != nil {
		return nil, err
	}
	r, base := reading{t, u, d}, c.labels(p, t)
	var all []*cri.Metric
	for _, m := range containerMetrics {
		for _, s := range m.values(r) {
			all = append(all, newMetric(m.name, m.kind, base, s))
		}
	}
	return all, nil
}

// newMetric makes a metric that was gathered live, which is timestamp 0.
func newMetric(name string, kind cri.MetricType, base []string, s sample) *cri.Metric {
	labels := make([]string, 0, len(base)+len(s.labels))
	return &cri.Metric{
		Name:        name,
		MetricType:  kind,
		LabelValues: append(append(labels, base...), s.labels...),
		Value:       value(s.value),
	}
}

// labels are the values of baseLabels.
func (c *Collector) labels(p MetricPod, t MetricTarget) []string {
	id := "/" + t.ID
	if text, err := c.cgroupText(t.Target); err == nil {
		id = controlGroup(text, t.ID)
	}
	return []string{t.Container, id, t.Image, t.ID, p.Namespace, p.Name}
}
