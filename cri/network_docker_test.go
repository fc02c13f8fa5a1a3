//go:build linux

package cri

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mascri/mascri/cri/docker"
)

// networkEngine is the fake engine with networks, of which pods cannot be on
// more than one.
type networkEngine struct {
	*fakeEngine
	networks []string
}

func (e *networkEngine) FindNetwork(_ context.Context, name string) error {
	for _, known := range e.networks {
		if known == name {
			return e.take("find network")
		}
	}
	return fmt.Errorf("inspect network %s: %w", name, docker.ErrNotFound)
}

func (e *networkEngine) ConnectNetwork(ctx context.Context, name, _ string) error {
	return e.FindNetwork(ctx, name)
}

func (e *networkEngine) DisconnectNetwork(context.Context, string, string) error { return nil }

// A network that the engine does not have is seen before the first pod.
func TestDockerNetworkThatDoesNotExist(t *testing.T) {
	b := newBench(t)
	engine := &networkEngine{fakeEngine: b.engine, networks: []string{"bridge"}}
	ready := func() *runtimeapi.RuntimeCondition {
		t.Helper()
		answer, err := b.Status(t.Context(), &runtimeapi.StatusRequest{})
		if err != nil {
			t.Fatal(err)
		}
		return answer.GetStatus().GetConditions()[1]
	}
	b.server.network = &countingNetwork{Network: NewDockerNetwork(engine, "bridge")}
	if c := ready(); !c.GetStatus() {
		t.Errorf("with the network: %v", c)
	}
	engine.fail("find network", docker.ErrUnavailable)
	if c := ready(); c.GetStatus() || strings.Contains(c.GetMessage(), "create") {
		t.Errorf("with an engine that is away: %v", c)
	}
	b.server.network = &countingNetwork{Network: NewDockerNetwork(engine, "pods")}
	for _, word := range []string{"pods", "docker network create", "--docker-network"} {
		if c := ready(); c.GetStatus() || !strings.Contains(c.GetMessage(), word) {
			t.Errorf("without the network: %v, want %q", c, word)
		}
	}
	if _, err := b.run(goodPod("web")); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("a pod without the network: %v, want FailedPrecondition", err)
	}
	if err := b.left(); err != nil {
		t.Error(err)
	}
}
