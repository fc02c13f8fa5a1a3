package cri

import (
	"context"
	"errors"
	"fmt"
	"sync"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mascri/mascri/cri/docker"
	"github.com/mascri/mascri/cri/logs"
	"github.com/mascri/mascri/spec"
)

// CreateContainer creates a container in a sandbox that runs; it is not started.
// When it answers an error nothing is left of it. A second call for the same
// container and attempt is refused and changes nothing.
func (c *containers) CreateContainer(ctx context.Context, r *runtimeapi.CreateContainerRequest) (*runtimeapi.CreateContainerResponse, error) {
	config, err := parseContainer(r)
	if err != nil {
		return nil, err
	}
	sandbox, err := c.find(ctx, r.GetPodSandboxId())
	if err != nil {
		return nil, err
	}
	if err := checkPrivileged(r, sandbox); err != nil {
		return nil, err
	}
	name := containerName(sandbox.pod, config)
	release, err := c.names.reserve(name)
	if err != nil {
		return nil, err
	}
	defer release()
	var undo undoStack
	id, err := c.create(ctx, sandbox, config, &undo)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("create container %s of %s: %w", config.GetMetadata().GetName(), sandbox.pod, err), undo.unwind(ctx))
	}
	return &runtimeapi.CreateContainerResponse{ContainerId: id}, nil
}

// checkPrivileged keeps privileged containers to pods that may have them ("if a
// privileged container is to be executed within it, this MUST be true", cri-api,
// LinuxSandboxSecurityContext). The pod's configuration is the request's, which
// the kubelet makes anew: a debug container may be the pod's first one that is
// privileged, long after its sandbox was made.
func checkPrivileged(r *runtimeapi.CreateContainerRequest, s sandbox) error {
	pod := r.GetSandboxConfig()
	if pod == nil {
		pod = s.pod.config
	}
	if r.GetConfig().GetLinux().GetSecurityContext().GetPrivileged() && !pod.GetLinux().GetSecurityContext().GetPrivileged() {
		return invalid("config.linux.security_context.privileged", "is not for a pod whose own linux.security_context.privileged is false: set both")
	}
	return nil
}

// create is the way from a validated request to a container in the engine.
func (c *containers) create(ctx context.Context, s sandbox, config *runtimeapi.ContainerConfig, undo *undoStack) (string, error) {
	if s.state != docker.Running {
		return "", fmt.Errorf("sandbox %s is %s: %w", short(s.id), s.state, docker.ErrNotRunning)
	}
	if err := c.checkAgainstNode(ctx, s, config); err != nil {
		return "", err
	}
	image, err := c.engine.InspectImage(ctx, config.GetImage().GetImage())
	if err != nil {
		return "", fmt.Errorf("config.image: %w", err)
	}
	labels, err := containerLabels(s, config, image, c.now())
	if err != nil {
		return "", err
	}
	var log docker.Log
	log.Driver, log.Options = logs.DockerOptions()
	wanted, err := specOf(s, config, labels, log)
	if err != nil {
		return "", err
	}
	if err := c.settleGroups(ctx, &wanted.Security, config.GetLinux().GetSecurityContext(), image); err != nil {
		return "", err
	}
	if err := c.resolveImageMounts(ctx, wanted.Mounts); err != nil {
		return "", err
	}
	// As with a sandbox: not cancelled with the caller, and undone by name.
	id, err := c.engine.CreateContainer(context.WithoutCancel(ctx), wanted)
	if errors.Is(err, docker.ErrConflict) {
		return "", fmt.Errorf("%w: %w (remove it, or create the container with another attempt)", errExists, err)
	}
	undo.push("remove container "+wanted.Name, func(ctx context.Context) error {
		return ignoreNotFound(c.engine.Remove(ctx, wanted.Name))
	})
	if err != nil {
		return "", err
	}
	return id, ctx.Err()
}

// resolveImageMounts gives each image that is mounted by its ID: what the status
// tells of it then is what is mounted, whatever its name comes to mean.
func (c *containers) resolveImageMounts(ctx context.Context, mounts []docker.MountPoint) error {
	for i, m := range mounts {
		if m.Image == "" {
			continue
		}
		image, err := c.engine.InspectImage(ctx, m.Image)
		if err != nil {
			return fmt.Errorf("config.mounts[%d].image: %w", i, err)
		}
		mounts[i].Image = image.ID
	}
	return nil
}

// checkAgainstNode refuses what this sandbox, engine or machine cannot do and
// Docker would leave out without a word.
func (c *containers) checkAgainstNode(ctx context.Context, s sandbox, config *runtimeapi.ContainerConfig) error {
	if c.logs == nil && logPathOf(s.pod, config) != "" {
		return unsupported("config.log_path", "the engine's log files are on another machine")
	}
	linux := config.GetLinux()
	if id := linux.GetSecurityContext().GetNamespaceOptions().GetTargetId(); id != "" {
		if err := c.checkTarget(ctx, s, id); err != nil {
			return err
		}
	}
	ask := c.facts(ctx)
	if err := c.checkLimits(ask, "config.linux.resources.", linux.GetResources()); err != nil {
		return err
	}
	return checkConfinement(ask, linux.GetSecurityContext())
}

// facts are what the engine says of itself, asked for once, and only when they are
// needed: that takes longer than a create.
type facts func() (docker.Info, error)

func (c *containers) facts(ctx context.Context) facts {
	return sync.OnceValues(func() (docker.Info, error) { return c.engine.Info(ctx) })
}

// checkConfinement refuses a profile of a kind that the engine does not have.
func checkConfinement(ask facts, security *runtimeapi.LinuxContainerSecurityContext) error {
	const localhost = runtimeapi.SecurityProfile_Localhost
	apparmor := apparmorOf(security).GetProfileType() == localhost
	seccomp := seccompOf(security).GetProfileType() == localhost
	if !apparmor && !seccomp {
		return nil
	}
	info, err := ask()
	if err != nil {
		return err
	}
	const field = "config.linux.security_context."
	switch {
	case apparmor && !info.Security.AppArmor:
		return unsupported(field+"apparmor", "the engine has no AppArmor")
	case seccomp && !info.Security.Seccomp:
		return unsupported(field+"seccomp", "the engine has no seccomp")
	}
	return nil
}

// checkTarget: namespaces are shared within a pod only.
func (c *containers) checkTarget(ctx context.Context, s sandbox, id string) error {
	const field = "config.linux.security_context.namespace_options.target_id"
	target, err := c.findContainer(ctx, id)
	if errors.Is(err, errNotFound) || err == nil && target.sandbox != s.id {
		return invalid(field, "%q is no container of the sandbox", id)
	}
	if err == nil && target.State != docker.Running {
		return fmt.Errorf("%s: %s: %w", field, short(id), docker.ErrNotRunning)
	}
	return err
}

// findContainer asks the engine for a container, by its ID or the beginning of
// it.
func (c *containers) findContainer(ctx context.Context, id string) (workload, error) {
	if err := spec.CheckName(id); err != nil {
		return workload{}, fmt.Errorf("container ID %w: %w", err, errNotFound)
	}
	found, err := c.engine.Inspect(ctx, id)
	if errors.Is(err, docker.ErrNotFound) {
		return workload{}, fmt.Errorf("container %s: %w", short(id), errNotFound)
	}
	if err != nil {
		return workload{}, err
	}
	return c.decodeWorkload(found)
}
