package docker

import (
	"context"
	"fmt"
)

// InspectNetNS returns the path of a running container's network namespace,
// for CNI_NETNS: the engine's own name for it (NetworkSettings.SandboxKey,
// "/var/run/docker/netns/…"), or /proc/PID/ns/net where that is not visible
// here. The path is good while the container runs; pin it to keep it longer.
// ErrNotRunning: there is no namespace to name.
func (e *Engine) InspectNetNS(ctx context.Context, id string) (string, error) {
	c, err := e.Inspect(ctx, id)
	if err != nil {
		return "", err
	}
	return c.NetNS()
}

// NetNS is InspectNetNS for a container that was inspected already.
func (c Container) NetNS() (string, error) {
	if c.State != Running || c.PID == 0 {
		return "", fmt.Errorf("network namespace of %s: %w, it is %s", c.ID, ErrNotRunning, c.State)
	}
	proc := fmt.Sprintf("/proc/%d/ns/net", c.PID)
	for _, path := range []string{c.SandboxKey, proc} {
		if path != "" && isNamespace(path) {
			return path, nil
		}
	}
	return "", fmt.Errorf("network namespace of %s: neither %s nor %s is a namespace here; "+
		"run this program in the mount and PID namespaces of the engine's host: %w",
		c.ID, c.SandboxKey, proc, ErrUnsupported)
}
