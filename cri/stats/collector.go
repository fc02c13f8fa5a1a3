package stats

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

const (
	// DefaultInterface is the pod's own interface among those of its namespace.
	DefaultInterface = "eth0"
	// sampleInterval is how often CPU counters are read for rates. It costs a
	// file a container: 100 containers, about 1 ms each 10 s.
	sampleInterval = 10 * time.Second
	// parallel bounds how many containers are read at once. The work is the
	// kernel's; more than a few only contend for its locks.
	parallel = 4
)

// Target is a running container, a sandbox's too: its ID, which is part of its
// control group's name, and a process in it, as the engine reports them.
type Target struct {
	ID  string
	PID int
}

// Pod is a sandbox with its running containers.
type Pod struct {
	Sandbox    Target
	Containers []Target
	// OwnCgroup: the control group above the sandbox's holds this pod alone, as
	// when the kubelet gave a cgroup parent. Then it is measured; otherwise the
	// containers are added up.
	OwnCgroup bool
	// HostNetwork: the interfaces are the node's and are not reported.
	HostNetwork bool
}

// Collector measures. It is safe for concurrent use.
type Collector struct {
	root        string
	hierarchies hierarchies
	rates       *rates
	now         func() time.Time

	mu    sync.Mutex
	known map[string]groups
}

// New finds the mounted control groups below root, which is "/" but in tests.
func New(root string) (*Collector, error) {
	h, err := findHierarchies(filepath.Join(root, "proc"))
	if err != nil {
		return nil, err
	}
	return &Collector{root: root, hierarchies: h, rates: newRates(), now: time.Now, known: make(map[string]groups)}, nil
}

// Run samples CPU counters until ctx ends, and forgets containers that running
// no longer lists. Without it, CPU rates exist from the second request on.
func (c *Collector) Run(ctx context.Context, running func() []Pod) {
	defer c.forgetBut(nil)
	tick := time.NewTicker(sampleInterval)
	defer tick.Stop()
	for {
		c.sample(running())
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (c *Collector) sample(pods []Pod) {
	keep := make(map[string]bool)
	for _, p := range pods {
		keep[p.key()] = true
		var sum uint64
		for _, t := range p.all() {
			keep[t.ID] = true
			sum += c.sampleGroup(t.ID, func() (groups, error) { return c.groups(t) })
		}
		if p.OwnCgroup {
			c.sampleGroup(p.key(), func() (groups, error) { return c.podGroups(p) })
		} else {
			c.rates.observe(p.key(), c.now(), sum)
		}
	}
	c.rates.keep(keep)
	c.forgetBut(keep)
}

// sampleGroup reads one CPU counter. What is gone or cannot be read now has no
// rate, which is all that a sample is for.
func (c *Collector) sampleGroup(key string, find func() (groups, error)) uint64 {
	g, err := find()
	if err != nil {
		return 0
	}
	nanos, ok := g.cpuTime()
	if ok {
		c.rates.observe(key, c.now(), nanos)
	}
	return nanos
}

func (c *Collector) forgetBut(keep map[string]bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, g := range c.known {
		if !keep[key] {
			g.files.close()
			delete(c.known, key)
		}
	}
}

func (p Pod) all() []Target { return append([]Target{p.Sandbox}, p.Containers...) }

// key tells a pod's CPU rate from its sandbox container's.
func (p Pod) key() string { return "pod/" + p.Sandbox.ID }

// Container measures one container. The caller adds metadata and the writable
// layer to the answer. The error is ErrGone when it is not running.
func (c *Collector) Container(t Target) (*cri.ContainerStats, error) {
	u, err := c.usage(t)
	if err != nil {
		return nil, fmt.Errorf("measure container %s: %w", t.ID, err)
	}
	return &cri.ContainerStats{
		Attributes: &cri.ContainerAttributes{Id: t.ID},
		Cpu:        u.cpuUsage(c.cores(t.ID, u)),
		Memory:     u.memoryUsage(),
		Swap:       u.swapUsage(),
		Io:         u.ioUsage(),
	}, nil
}

// Containers measures many, in order, leaving out those that are gone.
func (c *Collector) Containers(ctx context.Context, targets []Target) ([]*cri.ContainerStats, error) {
	return each(ctx, targets, c.Container)
}

// Pod measures a pod and its containers; Attributes.Id tells these apart.
func (c *Collector) Pod(p Pod) (*cri.LinuxPodSandboxStats, error) {
	u, err := c.podUsage(p)
	if err != nil {
		return nil, fmt.Errorf("measure pod %s: %w", p.Sandbox.ID, err)
	}
	var containers []*cri.ContainerStats
	for _, t := range p.Containers {
		one, err := c.Container(t)
		if err != nil && !errors.Is(err, ErrGone) {
			return nil, err
		}
		if err == nil {
			containers = append(containers, one)
		}
	}
	stats := &cri.LinuxPodSandboxStats{
		Cpu:        u.cpuUsage(c.cores(p.key(), u)),
		Memory:     u.memoryUsage(),
		Io:         u.ioUsage(),
		Process:    &cri.ProcessUsage{Timestamp: u.at.UnixNano(), ProcessCount: value(c.processCount(p))},
		Containers: containers,
	}
	if !p.HostNetwork {
		links, err := c.links(p.Sandbox)
		if err != nil {
			return nil, fmt.Errorf("measure pod %s: %w", p.Sandbox.ID, err)
		}
		stats.Network = networkUsage(links, u.at.UnixNano())
	}
	return stats, nil
}

// Pods measures many, in order, leaving out those whose sandbox is gone.
func (c *Collector) Pods(ctx context.Context, pods []Pod) ([]*cri.PodSandboxStats, error) {
	return each(ctx, pods, func(p Pod) (*cri.PodSandboxStats, error) {
		linux, err := c.Pod(p)
		if err != nil {
			return nil, err
		}
		return &cri.PodSandboxStats{Attributes: &cri.PodSandboxAttributes{Id: p.Sandbox.ID}, Linux: linux}, nil
	})
}

// each runs f on all, a few at a time, and drops what is gone meanwhile.
func each[T, R any](ctx context.Context, all []T, f func(T) (*R, error)) ([]*R, error) {
	results := make([]*R, len(all))
	var g errgroup.Group
	g.SetLimit(parallel)
	for i, one := range all {
		g.Go(func() (err error) {
			if err := ctx.Err(); err != nil {
				return err
			}
			if results[i], err = f(one); errors.Is(err, ErrGone) {
				return nil
			}
			return err
		})
	}
	err := g.Wait()
	present := results[:0]
	for _, r := range results {
		if r != nil {
			present = append(present, r)
		}
	}
	return present, err
}

func (c *Collector) cores(id string, u usage) *cri.UInt64Value {
	if !u.hasCPU {
		return nil
	}
	if cores, ok := c.rates.observe(id, u.at, u.cpu); ok {
		return value(cores)
	}
	return nil
}

// usage reads a container's control groups. They are looked up once; where that
// knowledge is out of date, once more.
func (c *Collector) usage(t Target) (usage, error) {
	g, err := c.groups(t)
	if err != nil {
		return usage{}, err
	}
	u, err := g.read(c.now())
	if errors.Is(err, ErrGone) {
		c.forget(t.ID)
		if g, err = c.groups(t); err != nil {
			return usage{}, err
		}
		u, err = g.read(c.now())
	}
	return u, err
}

func (c *Collector) podUsage(p Pod) (usage, error) {
	if p.OwnCgroup {
		g, err := c.podGroups(p)
		if err != nil {
			return usage{}, err
		}
		u, err := g.read(c.now())
		if errors.Is(err, ErrGone) {
			c.forget(p.key())
		}
		return u, err
	}
	sum, err := c.usage(p.Sandbox)
	if err != nil {
		return usage{}, err
	}
	sum.cpuPressure, sum.memoryPressure, sum.ioPressure = nil, nil, nil
	for _, t := range p.Containers {
		u, err := c.usage(t)
		if errors.Is(err, ErrGone) {
			continue
		}
		if err != nil {
			return usage{}, err
		}
		sum = sum.plus(u)
	}
	return sum, nil
}

// processCount counts the processes of a pod's containers.
func (c *Collector) processCount(p Pod) (n uint64) {
	for _, t := range p.all() {
		if g, err := c.groups(t); err == nil {
			n += uint64(len(g.processes()))
		}
	}
	return n
}
