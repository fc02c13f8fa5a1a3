package cri

import (
	"context"
	"errors"
	"fmt"

	"github.com/mascri/mascri/cri/docker"
	"github.com/mascri/mascri/spec"
)

// A sandbox has vanished when somebody else removed its container, with docker
// rm -f say. Its workload runs on in namespaces that only it holds. Nobody would
// end it: a kubelet does not see the sandbox, and takes the containers for those
// of the pod's next one.

// stopVanished ends what is left of a sandbox that has vanished. The network
// knows it by its ID.
func (s *Server) stopVanished(ctx context.Context, id string) error {
	if spec.CheckName(id) != nil {
		return nil
	}
	return errors.Join(s.killContainers(ctx, id), s.network.TearDownPod(ctx, id, nil))
}

func (s *Server) removeVanished(ctx context.Context, id string) error {
	if err := s.stopVanished(ctx, id); err != nil {
		return err
	}
	return s.removeContainers(ctx, id)
}

// removed forgets a container that was removed.
func (c *containers) removed(ctx context.Context, event docker.Event) {
	if event.Labels[labelKind] == kindContainer {
		c.forgetLog(event.ID)
		return
	}
	c.sandboxRemoved(ctx, event)
}

// sandboxRemoved ends what is left of a sandbox after its container was removed:
// by us nothing is. The containers stay for their caller to see that they ended.
func (c *containers) sandboxRemoved(ctx context.Context, event docker.Event) {
	sandbox, err := decodeSandbox(docker.Container{ID: event.ID, Labels: event.Labels})
	if err != nil {
		c.log.Error("a removed sandbox cannot be read; what is left of it is cleared up at the next start", "error", err)
		return
	}
	left, listing := c.containersOf(ctx, sandbox.id)
	attached, looking := c.result(ctx, sandbox)
	if len(left) == 0 && attached == nil && listing == nil && looking == nil {
		return
	}
	c.log.Warn("ending what a removed sandbox left", "pod", sandbox.pod, "sandbox", sandbox.id)
	// It may take as long as a plugin does, and other events are waiting.
	c.running.Go(func() {
		err := c.killContainers(ctx, sandbox.id)
		if failed := c.network.TearDownPod(ctx, sandbox.id, sandbox.attachment); failed != nil {
			err = errors.Join(err, failed, c.network.Owe(sandbox.id, sandbox.attachment))
		}
		if err != nil && ctx.Err() == nil {
			c.log.Error("what a removed sandbox left is not ended whole; it is tried again", "pod", sandbox.pod, "sandbox", sandbox.id, "next", settleInterval, "error", err)
		}
	})
}

// recoverVanished ends what is left of sandboxes that vanished unseen.
func (c *containers) recoverVanished(ctx context.Context) error {
	all, err := c.workloads(ctx)
	if err != nil {
		return err
	}
	// Listed last: a sandbox is there before its containers are. And not read: one
	// that cannot be read has not vanished.
	sandboxes, err := c.engine.List(ctx, map[string]string{labelKind: kindSandbox})
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, sandbox := range sandboxes {
		seen[sandbox.ID] = true
	}
	var errs []error
	for _, w := range all {
		if seen[w.sandbox] {
			continue
		}
		seen[w.sandbox] = true
		if err := c.stopVanished(ctx, w.sandbox); err != nil {
			errs = append(errs, fmt.Errorf("end what the removed sandbox %s left: %w", short(w.sandbox), err))
		}
	}
	return errors.Join(errs...)
}
