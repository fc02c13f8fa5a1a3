package cri

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/mascri/mascri/cri/docker"
	"github.com/mascri/mascri/cri/podnet"
	"github.com/mascri/mascri/spec"
)

// noneNetwork is where the engine puts a container without a network. It has to
// leave that one before it can join another.
const noneNetwork = "none"

// NetworkEngine is what the network mode "docker" needs of an engine besides
// Engine.
type NetworkEngine interface {
	Engine
	FindNetwork(ctx context.Context, network string) error
	ConnectNetwork(ctx context.Context, network, id string) error
	DisconnectNetwork(ctx context.Context, network, id string) error
}

// dockerNetwork connects pods to one of the engine's own networks: the way out
// where CNI plugins cannot reach the pods' namespaces, as on a Mac. It knows no
// capabilities: host ports and pod CIDRs are for CNI plugins.
type dockerNetwork struct {
	engine NetworkEngine
	name   string
}

// NewDockerNetwork returns the network mode that puts pods on the engine's
// network of that name. It has to exist.
func NewDockerNetwork(engine NetworkEngine, name string) Network {
	return &dockerNetwork{engine: engine, name: name}
}

// errNoHostPorts: Docker publishes ports at a container's creation, through its
// own network, which the pod is not on yet then.
var errNoHostPorts = errors.New("host ports need the network mode cni")

// errNoDockerNetwork: the engine has no network of the name that was given.
var errNoDockerNetwork = errors.New("no such docker network")

func (n *dockerNetwork) Prepare(_ context.Context, pod podnet.Pod) (podnet.Attachment, error) {
	for i, port := range pod.Ports {
		if port.HostPort > 0 {
			return podnet.Attachment{}, &fieldError{fmt.Sprintf("config.port_mappings[%d].host_port", i), errNoHostPorts}
		}
	}
	return podnet.Attachment{Source: n.source()}, nil
}

func (n *dockerNetwork) source() string { return "docker network " + n.name }

func (n *dockerNetwork) SetUpPod(ctx context.Context, id, _ string, _ podnet.Attachment) (podnet.Result, error) {
	err := spec.Do(ctx, "docker", fmt.Sprintf("docker network disconnect --force %s %s", noneNetwork, short(id)), func() error {
		return n.engine.DisconnectNetwork(ctx, noneNetwork, id)
	})
	if err != nil {
		return podnet.Result{}, err
	}
	err = spec.Do(ctx, "docker", fmt.Sprintf("docker network connect %s %s", n.name, short(id)), func() error {
		return n.engine.ConnectNetwork(ctx, n.name, id)
	})
	if err != nil {
		return podnet.Result{}, n.explain(err) // the sandbox is there: it was just disconnected
	}
	return n.Result(ctx, id)
}

// explain says what to do where the network was not found.
func (n *dockerNetwork) explain(err error) error {
	if errors.Is(err, docker.ErrNotFound) {
		return fmt.Errorf("%w: %s: make it with docker network create %s, or name another with --docker-network", errNoDockerNetwork, n.name, n.name)
	}
	return err
}

// Restore has nothing to do: Docker removes an endpoint with its container.
func (n *dockerNetwork) Restore(context.Context, string, string) error { return nil }

func (n *dockerNetwork) TearDownPod(ctx context.Context, id string, _ *podnet.Attachment) error {
	_, err := n.Result(ctx, id)
	if errors.Is(err, podnet.ErrNotAttached) {
		return nil
	}
	if err != nil {
		return err
	}
	return spec.Do(ctx, "docker", fmt.Sprintf("docker network disconnect --force %s %s", n.name, short(id)), func() error {
		return ignoreNotFound(n.engine.DisconnectNetwork(ctx, n.name, id))
	})
}

// Owe has nothing to do: Docker removes an endpoint with its container.
func (n *dockerNetwork) Owe(string, *podnet.Attachment) error { return nil }

// Settle has nothing to do.
func (n *dockerNetwork) Settle(context.Context) error { return nil }

func (n *dockerNetwork) Result(ctx context.Context, id string) (podnet.Result, error) {
	container, err := n.engine.Inspect(ctx, id)
	if errors.Is(err, docker.ErrNotFound) {
		return podnet.Result{}, podnet.ErrNotAttached
	}
	if err != nil {
		return podnet.Result{}, err
	}
	for _, endpoint := range container.Endpoints {
		if endpoint.Network == n.name {
			return podnet.Result{Network: n.name, Addresses: endpoint.Addresses}, nil
		}
	}
	return podnet.Result{}, podnet.ErrNotAttached
}

// Status: a network of the engine's works when it exists.
func (n *dockerNetwork) Status(ctx context.Context) error {
	return n.explain(n.engine.FindNetwork(ctx, n.name))
}

func (n *dockerNetwork) Describe(ctx context.Context) podnet.Report {
	report := podnet.Report{Network: n.name, Source: n.source()}
	if err := n.Status(ctx); err != nil {
		report.Error = err.Error()
	}
	return report
}

// SetPodCIDRs changes nothing: addresses are the engine's own here.
func (n *dockerNetwork) SetPodCIDRs([]netip.Prefix) error { return nil }

// GC has nothing to do: an endpoint has no life of its own.
func (n *dockerNetwork) GC(context.Context, []string) error { return nil }
