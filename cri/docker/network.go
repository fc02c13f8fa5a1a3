package docker

import (
	"context"
	"slices"

	"github.com/docker/docker/api/types/network"
)

// FindNetwork looks for one of the engine's own networks, by name or ID.
// ErrNotFound: there is none.
func (e *Engine) FindNetwork(ctx context.Context, networkName string) error {
	return e.call(ctx, "inspect network", networkName, func(ctx context.Context) error {
		_, err := e.client.NetworkInspect(ctx, networkName, network.InspectOptions{})
		return err
	})
}

// ConnectNetwork attaches a running sandbox to one of the engine's own
// networks, by name or ID: the fallback where CNI plugins cannot reach the
// sandbox's network namespace. The addresses it got are in Container.Endpoints.
func (e *Engine) ConnectNetwork(ctx context.Context, networkName, id string) error {
	c, err := e.Inspect(ctx, id)
	if err != nil {
		return err
	}
	// To Docker an empty network namespace is a network too, "none", and one
	// that admits no other beside it.
	if slices.ContainsFunc(c.Endpoints, func(p Endpoint) bool { return p.Network == "none" }) {
		if err := e.DisconnectNetwork(ctx, "none", id); err != nil {
			return err
		}
	}
	return e.call(ctx, "connect", id+" to network "+networkName, func(ctx context.Context) error {
		return e.client.NetworkConnect(ctx, networkName, id, &network.EndpointSettings{})
	})
}

// DisconnectNetwork undoes ConnectNetwork, also for a stopped sandbox.
// ErrNotFound: no such container or network.
func (e *Engine) DisconnectNetwork(ctx context.Context, networkName, id string) error {
	return e.call(ctx, "disconnect", id+" from network "+networkName, func(ctx context.Context) error {
		return e.client.NetworkDisconnect(ctx, networkName, id, true)
	})
}
