package docker

import (
	"context"
	"errors"
	"path"

	"github.com/docker/docker/api/types/container"
	"github.com/mascri/mascri/cri/docker/pause"
)

// SandboxSpec is the pod sandbox to create: a pause container that holds the
// pod's namespaces. It carries what a CRI PodSandboxConfig asks for and Docker
// can honour; the pod's network is not in it, since a CNI plugin or
// ConnectNetwork provides that after Start.
type SandboxSpec struct {
	Name        string            // the container's name, unique on the engine
	Labels      map[string]string // how the sandbox is found again, see List
	Annotations map[string]string // told to the OCI runtime (Docker 24 or newer)
	Hostname    string            // at most 64 bytes; ignored where Network is Host

	// CgroupParent as the kubelet gives it: a path, "/kubepods/burstable/pod1"
	// (cgroupfs) or "/kubepods.slice/kubepods-pod1.slice" (systemd). "" leaves
	// the choice to the engine.
	CgroupParent string
	Sysctls      map[string]string // of the pod's own network and IPC namespace

	Network Namespace // Private: an empty namespace, for CNI to fill
	PID     Namespace // Private: the sandbox's own; containers may join it
	IPC     Namespace // Private: the sandbox's own; containers may join it

	Security       Security
	RuntimeHandler string // OCI runtime, one of Info.Runtimes; "" is the default

	// OOMScoreAdj is the kernel's preference for killing the pause process,
	// -1000 (never) to 1000. Where the engine may not lower the score it is
	// clamped to what it may set, see oom.go.
	OOMScoreAdj int
}

// CreateSandbox creates the sandbox's container, loading the pause image into
// the engine first where it is missing, and returns its ID. The container is
// not started. ErrConflict: a container of that name exists.
func (e *Engine) CreateSandbox(ctx context.Context, spec SandboxSpec) (string, error) {
	config, host, err := e.sandboxConfig(ctx, spec)
	if err != nil {
		return "", err
	}
	// Asking first whether the image is there costs 12 ms on an engine with
	// containerd's image store, and the answer may be wrong by the time of the
	// create; so create, and load the image only when it turns out missing.
	id, err := e.create(ctx, "create sandbox", spec.Name, config, host)
	if errors.Is(err, ErrNotFound) {
		if _, err := e.EnsurePause(ctx); err != nil {
			return "", err
		}
		id, err = e.create(ctx, "create sandbox", spec.Name, config, host)
	}
	return id, err
}

// sandboxConfig is the pause container in Docker's terms.
func (e *Engine) sandboxConfig(ctx context.Context, spec SandboxSpec) (*container.Config, *container.HostConfig, error) {
	config := &container.Config{
		Image:       pause.Tag,
		Labels:      spec.Labels,
		Hostname:    spec.Hostname,
		User:        spec.Security.User,
		Healthcheck: noHealthcheck(),
	}
	host := &container.HostConfig{
		Annotations:    spec.Annotations,
		NetworkMode:    networkMode(spec.Network),
		PidMode:        container.PidMode(spec.PID),
		IpcMode:        ipcMode(spec.IPC),
		Sysctls:        spec.Sysctls,
		Runtime:        spec.RuntimeHandler,
		LogConfig:      container.LogConfig{Type: "none"}, // the pause program never writes
		RestartPolicy:  container.RestartPolicy{Name: container.RestartPolicyDisabled},
		Init:           new(bool), // the pause program is the init
		ReadonlyRootfs: spec.Security.ReadOnlyRootfs,
	}
	if spec.Network == Host {
		// The UTS namespace goes with the network: the pod sees the node's name.
		config.Hostname = ""
		host.UTSMode = "host"
	}
	host.CgroupParent = e.cgroupParent(spec.CgroupParent)
	if err := spec.Security.apply(host); err != nil {
		return nil, nil, err
	}
	score, err := e.allowedOOMScore(ctx, spec.OOMScoreAdj)
	if err != nil {
		return nil, nil, err
	}
	host.OomScoreAdj = score
	return config, host, nil
}

// create sends a create request in its turn.
func (e *Engine) create(ctx context.Context, operation, name string, config *container.Config,
	host *container.HostConfig) (id string, err error) {
	err = e.inTurn(ctx, func() error {
		return e.call(ctx, operation, name, func(ctx context.Context) error {
			answer, err := e.client.ContainerCreate(ctx, config, host, nil, nil, name)
			for _, warning := range answer.Warnings {
				e.log.Warn("engine warns about a container it created", "container", name, "warning", warning)
			}
			id = answer.ID
			return err
		})
	})
	return id, err
}

// noHealthcheck switches an image's own health check off: in a pod that is the
// kubelet's business.
func noHealthcheck() *container.HealthConfig {
	return &container.HealthConfig{Test: []string{"NONE"}}
}

// cgroupParent puts a parent in the form the engine's cgroup driver wants:
// systemd takes the slice's name alone and derives the path from its dashes
// (systemd.slice(5)).
func (e *Engine) cgroupParent(parent string) string {
	if parent != "" && e.info.Load().CgroupDriver == "systemd" {
		return path.Base(parent)
	}
	return parent
}
