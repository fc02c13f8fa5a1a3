package docker

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
)

// State is where a container is in its life.
type State string

// The engine's states. Paused means frozen, and has nothing to do with the
// pause image.
const (
	Created    State = "created"
	Running    State = "running"
	Paused     State = "paused"
	Restarting State = "restarting"
	Removing   State = "removing"
	Exited     State = "exited"
	Dead       State = "dead" // removal was tried and did not finish
)

// Container is what the engine knows of a container. Inspect fills all of it;
// List what is marked so.
type Container struct {
	ID      string            // 64 hexadecimal digits (List)
	Name    string            // without a leading slash (List)
	Image   string            // the reference it was created with (List)
	ImageID string            // "sha256:…" (List)
	Labels  map[string]string // (List)
	State   State             // (List)
	Created time.Time         // (List, to the second)
	Mounts  []MountPoint

	PID       int // of the first process, on the engine's host; 0 where none runs
	Started   time.Time
	Finished  time.Time
	ExitCode  int
	OOMKilled bool
	Error     string // why the engine could not start or remove it

	ResolvConfPath string // the engine's file that is mounted as /etc/resolv.conf
	HostsPath      string
	HostnamePath   string
	LogPath        string // "" where the log driver keeps no file
	WritableLayer  string // directory of its own files; "" where the storage driver has none
	SandboxKey     string // path of the network namespace; "" where it has none
	Endpoints      []Endpoint

	Namespaces   Namespaces
	Resources    Resources
	User         string // as created: "uid", "uid:gid", a name or ""
	CgroupParent string
	Runtime      string // OCI runtime
	StopSignal   string // "" where neither the container nor its image names one
	Terminal     bool   // its output is one stream
	Privileged   bool
	ReadOnlyRoot bool
	Hostname     string
	LogDriver    string
}

// Namespaces tells which namespaces a container was created in.
type Namespaces struct{ Network, PID, IPC Namespace }

// Endpoint is a container's place on one of the engine's own networks.
type Endpoint struct {
	Network   string
	Addresses []netip.Prefix
	Gateway   netip.Addr // the zero Addr where there is none
}

// Inspect asks the engine for all it knows of a container, by ID or name.
func (e *Engine) Inspect(ctx context.Context, id string) (Container, error) {
	var c Container
	err := e.call(ctx, "inspect", id, func(ctx context.Context) error {
		answer, err := e.client.ContainerInspect(ctx, id)
		if err != nil {
			return err
		}
		if answer.ContainerJSONBase == nil || answer.State == nil || answer.HostConfig == nil ||
			answer.Config == nil || answer.NetworkSettings == nil {
			return fmt.Errorf("%w: the answer lacks state, configuration or network", ErrUnsupported)
		}
		c = containerFrom(answer)
		return nil
	})
	return c, err
}

// List returns the containers, running or not, that carry all the labels; a
// label with an empty value has to be there with any value.
func (e *Engine) List(ctx context.Context, labels map[string]string) ([]Container, error) {
	query := filters.NewArgs()
	for key, value := range labels {
		if value != "" {
			key += "=" + value
		}
		query.Add("label", key)
	}
	var found []Container
	err := e.call(ctx, "list", "containers", func(ctx context.Context) error {
		answer, err := e.client.ContainerList(ctx, container.ListOptions{All: true, Filters: query})
		for _, summary := range answer {
			found = append(found, containerOf(summary))
		}
		return err
	})
	return found, err
}

// containerOf maps a line of the list, which has little of an inspect answer.
func containerOf(s container.Summary) Container {
	c := Container{
		ID:      s.ID,
		Image:   s.Image,
		ImageID: s.ImageID,
		Labels:  s.Labels,
		State:   State(s.State), // and not Status, which is a sentence for people
		Created: time.Unix(s.Created, 0),
	}
	if len(s.Names) > 0 {
		c.Name = strings.TrimPrefix(s.Names[0], "/")
	}
	return c
}

// containerFrom maps a complete inspect answer.
func containerFrom(r container.InspectResponse) Container {
	return Container{
		ID:             r.ID,
		Name:           strings.TrimPrefix(r.Name, "/"),
		Image:          r.Config.Image,
		ImageID:        r.Image,
		Labels:         r.Config.Labels,
		State:          State(r.State.Status),
		Created:        parseTime(r.Created),
		Mounts:         mountPointsFrom(r),
		PID:            r.State.Pid,
		Started:        parseTime(r.State.StartedAt),
		Finished:       parseTime(r.State.FinishedAt),
		ExitCode:       r.State.ExitCode,
		OOMKilled:      r.State.OOMKilled,
		Error:          r.State.Error,
		ResolvConfPath: r.ResolvConfPath,
		HostsPath:      r.HostsPath,
		HostnamePath:   r.HostnamePath,
		LogPath:        r.LogPath,
		WritableLayer:  r.GraphDriver.Data["UpperDir"],
		SandboxKey:     r.NetworkSettings.SandboxKey,
		Endpoints:      endpointsFrom(r.NetworkSettings.Networks),
		Namespaces:     namespacesFrom(r.HostConfig),
		Resources:      resourcesFrom(r.HostConfig),
		User:           r.Config.User,
		CgroupParent:   r.HostConfig.CgroupParent,
		Runtime:        r.HostConfig.Runtime,
		StopSignal:     r.Config.StopSignal,
		Terminal:       r.Config.Tty,
		Privileged:     r.HostConfig.Privileged,
		ReadOnlyRoot:   r.HostConfig.ReadonlyRootfs,
		Hostname:       r.Config.Hostname,
		LogDriver:      r.HostConfig.LogConfig.Type,
	}
}

// parseTime reads the engine's RFC 3339 times. It writes year 1 for "never",
// which is Go's zero Time; so is anything unreadable.
func parseTime(text string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}
	}
	return t
}

// namespacesFrom undoes networkMode and ipcMode.
func namespacesFrom(host *container.HostConfig) Namespaces {
	n := Namespaces{
		Network: Namespace(host.NetworkMode),
		PID:     Namespace(host.PidMode),
		IPC:     Namespace(host.IpcMode),
	}
	if n.Network == "none" {
		n.Network = Private
	}
	if host.IpcMode.IsShareable() || host.IpcMode.IsPrivate() {
		n.IPC = Private
	}
	return n
}

// endpointsFrom gives the endpoints in the order of their networks' names.
func endpointsFrom(networks map[string]*network.EndpointSettings) []Endpoint {
	var endpoints []Endpoint
	for _, name := range slices.Sorted(maps.Keys(networks)) {
		settings := networks[name]
		endpoint := Endpoint{Network: name}
		for _, a := range []struct {
			text string
			bits int
		}{{settings.IPAddress, settings.IPPrefixLen}, {settings.GlobalIPv6Address, settings.GlobalIPv6PrefixLen}} {
			if address, err := netip.ParseAddr(a.text); err == nil { // "": no address of this family
				endpoint.Addresses = append(endpoint.Addresses, netip.PrefixFrom(address, a.bits))
			}
		}
		if gateway, err := netip.ParseAddr(settings.Gateway); err == nil {
			endpoint.Gateway = gateway
		}
		endpoints = append(endpoints, endpoint)
	}
	return endpoints
}
