package cri

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mascri/mascri/cri/docker"
	"github.com/mascri/mascri/spec"
)

// StopPodSandbox ends all processes of the pod and gives its addresses back.
// It may be repeated, and succeeds for a sandbox that does not exist.
func (s *Server) StopPodSandbox(ctx context.Context, r *runtimeapi.StopPodSandboxRequest) (*runtimeapi.StopPodSandboxResponse, error) {
	if r.GetPodSandboxId() == "" {
		return nil, invalid("pod_sandbox_id", "is empty")
	}
	ctx, _ = s.traced(ctx)
	sandbox, err := s.find(ctx, r.GetPodSandboxId())
	if errors.Is(err, errNotFound) {
		return &runtimeapi.StopPodSandboxResponse{}, s.stopVanished(ctx, r.GetPodSandboxId())
	}
	if err == nil {
		err = s.stopSandbox(ctx, sandbox)
	}
	if err != nil {
		return nil, fmt.Errorf("stop sandbox %s: %w", short(r.GetPodSandboxId()), err)
	}
	return &runtimeapi.StopPodSandboxResponse{}, nil
}

// RemovePodSandbox removes the sandbox and every container of the pod, stopping
// them first where that was not done. It may be repeated, and succeeds for a
// sandbox that does not exist.
func (s *Server) RemovePodSandbox(ctx context.Context, r *runtimeapi.RemovePodSandboxRequest) (*runtimeapi.RemovePodSandboxResponse, error) {
	if r.GetPodSandboxId() == "" {
		return nil, invalid("pod_sandbox_id", "is empty")
	}
	ctx, _ = s.traced(ctx)
	sandbox, err := s.find(ctx, r.GetPodSandboxId())
	if errors.Is(err, errNotFound) {
		return &runtimeapi.RemovePodSandboxResponse{}, s.removeVanished(ctx, r.GetPodSandboxId())
	}
	if err == nil {
		err = s.removeSandbox(ctx, sandbox)
	}
	if err != nil {
		return nil, fmt.Errorf("remove sandbox %s: %w", short(r.GetPodSandboxId()), err)
	}
	return &runtimeapi.RemovePodSandboxResponse{}, nil
}

// find asks the engine for a sandbox, by its ID or the beginning of it.
func (s *Server) find(ctx context.Context, id string) (sandbox, error) {
	container, err := s.inspect(ctx, id)
	if err != nil {
		return sandbox{}, err
	}
	return s.decode(container)
}

// inspect is the engine's Inspect for an ID that a caller gave us.
func (s *Server) inspect(ctx context.Context, id string) (docker.Container, error) {
	// What is no container ID belongs to nothing; it must not reach a URL.
	if err := spec.CheckName(id); err != nil {
		return docker.Container{}, fmt.Errorf("sandbox ID %w: %w", err, errNotFound)
	}
	container, err := s.engine.Inspect(ctx, id)
	if errors.Is(err, docker.ErrNotFound) {
		return docker.Container{}, fmt.Errorf("sandbox %s: %w", short(id), errNotFound)
	}
	return container, err
}

// stopSandbox ends the workload, then takes the pod off the network and ends the
// sandbox's own process: the workload should not see its network go. The last two
// need not wait for each other, since the namespace is pinned. The network is
// tried although the workload could not be ended, and the last process is ended
// although the network failed: the next attempt still can do it.
func (s *Server) stopSandbox(ctx context.Context, sandbox sandbox) error {
	workload := s.killContainers(ctx, sandbox.id)
	disconnected := make(chan error, 1)
	go func() { disconnected <- s.disconnect(ctx, sandbox) }()
	process := s.kill(ctx, sandbox.id)
	return errors.Join(workload, <-disconnected, process)
}

// removeSandbox stops the sandbox and removes its containers, its own as the
// last one: its labels hold what a further attempt needs.
func (s *Server) removeSandbox(ctx context.Context, sandbox sandbox) error {
	if err := s.stopSandbox(ctx, sandbox); err != nil {
		return err
	}
	if err := s.removeContainers(ctx, sandbox.id); err != nil {
		return err
	}
	return ignoreNotFound(s.remove(ctx, sandbox.id))
}

func (s *Server) removeContainers(ctx context.Context, id string) error {
	containers, err := s.containersOf(ctx, id)
	if err != nil {
		return err
	}
	return each(ctx, containers, func(ctx context.Context, c docker.Container) error {
		return ignoreNotFound(s.remove(ctx, c.ID))
	})
}

// containersOf lists the workload of a sandbox.
func (s *Server) containersOf(ctx context.Context, id string) ([]docker.Container, error) {
	return s.engine.List(ctx, map[string]string{labelKind: kindContainer, labelSandbox: id})
}

func (s *Server) killContainers(ctx context.Context, id string) error {
	containers, err := s.containersOf(ctx, id)
	if err != nil {
		return err
	}
	return each(ctx, containers, func(ctx context.Context, c docker.Container) error {
		if c.State != docker.Running && c.State != docker.Paused {
			return nil
		}
		return s.kill(ctx, c.ID)
	})
}

// kill ends a container's processes; it may have none.
func (s *Server) kill(ctx context.Context, id string) error {
	err := spec.Do(ctx, "docker", "docker kill "+short(id), func() error {
		err := s.engine.Kill(ctx, id, "SIGKILL")
		if errors.Is(err, docker.ErrNotRunning) {
			return nil
		}
		return ignoreNotFound(err)
	})
	return err
}

// maxParallel bounds how many containers of one pod are worked on at once.
const maxParallel = 8

// each does f for all containers, some at a time, and returns the first error
// after having tried all.
func each(ctx context.Context, containers []docker.Container, f func(context.Context, docker.Container) error) error {
	var group errgroup.Group
	group.SetLimit(maxParallel)
	for _, c := range containers {
		group.Go(func() error { return f(ctx, c) })
	}
	return group.Wait()
}
