package cri

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/mascri/mascri/cri/docker"
	"github.com/mascri/mascri/cri/podnet"
)

// Recover brings engine and network back in line after this program was not
// there for a while: it may have been killed between any two steps, the host
// may have been booted, containers may have been removed by hand. Call it before
// serving. It goes on after an error and reports all; what it could not finish
// is tried again by StopPodSandbox, RemovePodSandbox and the next Recover.
func (s *Server) Recover(ctx context.Context) error {
	sandboxes, err := s.sandboxes(ctx)
	if err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	keep, err := s.recoverSandboxes(ctx, sandboxes)
	if s.containers != nil {
		err = errors.Join(err, s.containers.recoverVanished(ctx))
	}
	err = errors.Join(err, s.network.GC(ctx, keep))
	if s.containers != nil {
		err = errors.Join(err, s.containers.recoverContainers(ctx))
	}
	s.log.Info("recovered", "sandboxes", len(sandboxes), "kept", len(keep), "complete", err == nil)
	return err
}

// recoverSandboxes recovers all sandboxes, some at a time, and returns those that
// the network has to keep.
func (s *Server) recoverSandboxes(ctx context.Context, sandboxes []sandbox) (keep []string, err error) {
	kept, errs := make([]bool, len(sandboxes)), make([]error, len(sandboxes))
	var group errgroup.Group
	group.SetLimit(maxParallel)
	for i, sandbox := range sandboxes {
		group.Go(func() error {
			var err error
			if kept[i], err = s.recoverSandbox(ctx, sandbox); err != nil {
				errs[i] = fmt.Errorf("recover sandbox %s of %s: %w", short(sandbox.id), sandbox.pod, err)
			}
			return nil
		})
	}
	_ = group.Wait() // nil: one sandbox's error does not end the others
	for i, sandbox := range sandboxes {
		if kept[i] || errs[i] != nil {
			keep = append(keep, sandbox.id)
		}
	}
	return keep, errors.Join(errs...)
}

// recoverSandbox finishes what was half done with one sandbox and tells whether
// the network has to keep what belongs to it.
func (s *Server) recoverSandbox(ctx context.Context, sandbox sandbox) (kept bool, err error) {
	switch {
	case sandbox.state == docker.Created:
		// Our own create, without the start that would have followed at once.
		return false, s.removeHalfMade(ctx, sandbox)
	case sandbox.state != docker.Running:
		// Whoever looks at it will find it not ready and stop it; its address
		// need not wait for that.
		return false, s.disconnect(ctx, sandbox)
	}
	result, err := s.result(ctx, sandbox)
	if err != nil {
		return true, err
	}
	if result == nil && !sandbox.onHostNetwork() {
		return s.recoverUnconnected(ctx, sandbox)
	}
	container, err := s.engine.Inspect(ctx, sandbox.id)
	if err != nil {
		return true, ignoreNotFound(err)
	}
	if result == nil { // on the host's network
		return true, s.writeResolvConf(ctx, sandbox.pod, container.ResolvConfPath, podnet.Result{})
	}
	netns, err := container.NetNS()
	if err != nil {
		return true, err
	}
	if err := s.network.Restore(ctx, sandbox.id, netns); err != nil {
		return true, err
	}
	return true, s.writeResolvConf(ctx, sandbox.pod, container.ResolvConfPath, *result)
}

// recoverUnconnected deals with a sandbox that runs without a network. Without
// workload nobody was ever told of it, or it was being stopped: it goes. With
// workload it is kept, not ready, for the kubelet to end in its own way.
func (s *Server) recoverUnconnected(ctx context.Context, sandbox sandbox) (kept bool, err error) {
	containers, err := s.containersOf(ctx, sandbox.id)
	if err != nil {
		return true, err
	}
	if len(containers) > 0 {
		s.log.Warn("a pod with containers has lost its network", "pod", sandbox.pod, "sandbox", sandbox.id)
		return true, nil
	}
	return false, s.removeHalfMade(ctx, sandbox)
}

func (s *Server) removeHalfMade(ctx context.Context, sandbox sandbox) error {
	s.log.Info("removing a sandbox that was left half made", "pod", sandbox.pod, "sandbox", sandbox.id)
	// Not stopped first: should the removal fail, the next attempt must still
	// be able to tell it from a sandbox that somebody stopped.
	if err := s.disconnect(ctx, sandbox); err != nil {
		return err
	}
	return ignoreNotFound(s.remove(ctx, sandbox.id))
}

// removeLate removes a sandbox that the engine made for a call that is over: this
// process gave up waiting for it, or its last run was ended meanwhile. Nobody
// would start it. The name of one that a call is making is taken.
func (s *Server) removeLate(ctx context.Context, id, name string) error {
	release, err := s.names.reserve(name)
	if err != nil {
		return nil
	}
	defer release()
	sandbox, err := s.find(ctx, id)
	if errors.Is(err, errNotFound) || err == nil && sandbox.state != docker.Created {
		return nil
	}
	if err != nil {
		return err
	}
	return s.removeHalfMade(ctx, sandbox)
}
