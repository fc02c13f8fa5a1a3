package conformance

import (
	"errors"
	"os/exec"
)

// host is the machine a row runs on: network namespaces for the host and its
// pods, and private directories. lab_linux.go implements it.
type host interface {
	// start starts cmd in the host's namespaces.
	start(cmd *exec.Cmd) error
	// do runs f on a thread in the host's namespaces, or in the pod's network
	// namespace where path names one.
	do(path string, f func() error) error
	// newPod makes a network namespace with its lo down and returns a path.
	newPod() (string, error)
	// removePod makes the path vanish, and with it the last reference to the
	// namespace.
	removePod(path string) error
	// close gives everything back to the kernel.
	close()
}

// Where the suite keeps its own things in the private /run.
const (
	podDir     = "/run/netns"
	standInDir = "/run/conformance"
)

// privateDirs are replaced by empty ones, so that whatever a plugin keeps
// (leases, caches, locks) is a row's own and is gone with it.
var privateDirs = []string{"/run", "/var/lib", "/tmp", "/var/tmp"}

// ErrUnprivileged is returned where namespaces cannot be made.
var ErrUnprivileged = errors.New("the suite makes network and mount namespaces, and may not: run it as root, or in a user namespace with: unshare -Urnm")

// ErrPlatform is returned where there are no network namespaces at all.
var ErrPlatform = errors.New("CNI plugins configure Linux network namespaces, which this system does not have: run the suite on Linux, for instance in a privileged container")
