package docker

import "github.com/docker/docker/api/types/container"

// Namespace says whose namespace a container uses, in Docker's notation.
type Namespace string

const (
	// Private is a namespace of the container's own.
	Private Namespace = ""
	// Host is the node's namespace.
	Host Namespace = "host"
)

// Of is the namespace of another, running container.
func Of(containerID string) Namespace { return Namespace("container:" + containerID) }

// networkMode: a private network namespace comes up empty, with a loopback
// only; connecting it is the CNI plugins' work.
func networkMode(n Namespace) container.NetworkMode {
	if n == Private {
		return "none"
	}
	return container.NetworkMode(n)
}

// ipcMode: a sandbox's private IPC namespace is one that containers of the pod
// can join, which Docker has to be told at create.
func ipcMode(n Namespace) container.IpcMode {
	if n == Private {
		return container.IPCModeShareable
	}
	return container.IpcMode(n)
}
