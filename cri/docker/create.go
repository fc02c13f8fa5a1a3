package docker

import (
	"context"
	"fmt"

	"github.com/docker/docker/api/types/container"
)

// ContainerSpec is a workload container to create: what a CRI ContainerConfig
// asks for and Docker can honour.
type ContainerSpec struct {
	Name        string
	Labels      map[string]string
	Annotations map[string]string // told to the OCI runtime (Docker 24 or newer)

	Image      string   // reference or ID; it has to be there
	Command    []string // replaces the image's entrypoint and its arguments
	Args       []string // replaces the image's arguments
	Env        []string // "KEY=value"
	WorkingDir string   // "" is the image's

	Stdin      bool // keep standard input open, for Attach
	StdinOnce  bool // close it after the first attached client has gone
	Terminal   bool
	StopSignal string // "SIGTERM"; "" is the image's

	// Namespaces: Network is Of(sandbox) or Host, the others too or Private.
	Namespaces Namespaces
	Security   Security
	Resources  Resources
	// CgroupParent and RuntimeHandler as in SandboxSpec, and the same.
	CgroupParent   string
	RuntimeHandler string

	Mounts     []MountPoint
	Devices    []Device
	CDIDevices []string // "vendor.com/class=name"; needs Docker 25 with CDI on

	Log Log
}

// Device is a device node of the host that the container may use.
type Device struct {
	HostPath      string // "/dev/fuse"; a directory stands for all devices in it
	ContainerPath string
	Permissions   string // of "r", "w" and "m" (mknod); "" is all three
}

// Log says where a container's output goes.
type Log struct {
	Driver  string            // one of Info.LogDrivers or a plugin; "" is the engine's default
	Options map[string]string // the driver's own
}

// CreateContainer creates a workload container and returns its ID; it is not
// started. ErrNotFound: the image, or a container whose namespaces it is to
// share, is missing. ErrConflict: the name is taken. ErrUnsupported: this
// engine cannot do one of the things asked for; the message names it.
func (e *Engine) CreateContainer(ctx context.Context, spec ContainerSpec) (string, error) {
	host, err := e.containerHost(ctx, spec)
	if err != nil {
		return "", fmt.Errorf("create container %s: %w", spec.Name, err)
	}
	return e.create(ctx, "create container", spec.Name, containerConfig(spec), host)
}

// containerConfig is the part that could be another machine's: what runs, not
// where. No hostname, since that is the sandbox's.
func containerConfig(spec ContainerSpec) *container.Config {
	return &container.Config{
		Image:  spec.Image,
		Labels: spec.Labels,
		// As in Kubernetes, an entrypoint given here drops the image's
		// arguments too, and arguments alone keep its entrypoint.
		Entrypoint:  spec.Command,
		Cmd:         spec.Args,
		Env:         spec.Env,
		WorkingDir:  spec.WorkingDir,
		User:        spec.Security.User,
		OpenStdin:   spec.Stdin,
		StdinOnce:   spec.StdinOnce,
		Tty:         spec.Terminal,
		StopSignal:  spec.StopSignal,
		Healthcheck: noHealthcheck(),
	}
}

// containerHost is the part that binds the container to this host: namespaces,
// cgroup, devices, mounts.
func (e *Engine) containerHost(ctx context.Context, spec ContainerSpec) (*container.HostConfig, error) {
	host := &container.HostConfig{
		Annotations:   spec.Annotations,
		NetworkMode:   networkMode(spec.Namespaces.Network),
		PidMode:       container.PidMode(spec.Namespaces.PID),
		IpcMode:       container.IpcMode(spec.Namespaces.IPC),
		Runtime:       spec.RuntimeHandler,
		LogConfig:     container.LogConfig{Type: spec.Log.Driver, Config: spec.Log.Options},
		RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyDisabled},
		Init:          new(bool), // the sandbox reaps, or the container is its own init
	}
	if spec.Namespaces.Network == Host {
		host.UTSMode = "host" // elsewhere Docker takes the sandbox's with its network
	}
	if err := spec.Security.apply(host); err != nil {
		return nil, err
	}
	score, err := e.allowedOOMScore(ctx, spec.Resources.OOMScoreAdj)
	if err != nil {
		return nil, err
	}
	host.OomScoreAdj = score
	host.Resources = e.limits(spec.Resources)
	host.CgroupParent = e.cgroupParent(spec.CgroupParent)
	if err := e.addMounts(host, spec.Mounts); err != nil {
		return nil, err
	}
	return host, e.addDevices(host, spec)
}

// addDevices adds device nodes, and devices by their names in the Container
// Device Interface (github.com/cncf-tags/container-device-interface).
func (e *Engine) addDevices(host *container.HostConfig, spec ContainerSpec) error {
	for _, d := range spec.Devices {
		permissions := d.Permissions
		if permissions == "" {
			permissions = "rwm"
		}
		host.Devices = append(host.Devices, container.DeviceMapping{
			PathOnHost: d.HostPath, PathInContainer: d.ContainerPath, CgroupPermissions: permissions,
		})
	}
	if len(spec.CDIDevices) == 0 {
		return nil
	}
	if !e.Features().CDI {
		return fmt.Errorf("CDI devices %v: %w (needs Docker 25 with a CDI directory)", spec.CDIDevices, ErrUnsupported)
	}
	host.DeviceRequests = []container.DeviceRequest{{Driver: "cdi", DeviceIDs: spec.CDIDevices}}
	return nil
}
