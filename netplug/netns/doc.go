// Package netns runs a function inside another network namespace. It is the
// one place of the project that calls setns(2).
//
// A network namespace belongs to a thread, not to a process, while Go moves
// goroutines between threads as it likes. Do hides that: it enters on a thread
// of its own, and what it made there (a socket, a netlink handle) keeps the
// namespace it was made in, so most callers open one thing inside and use it
// outside. See network_namespaces(7) and setns(2).
//
// Read next: netplug (configures a pod through a handle opened here) and
// cri/stream (dials a pod's loopback for port-forward).
package netns

import "errors"

// ErrUnsupported is what Do returns on systems without network namespaces.
var ErrUnsupported = errors.New("network namespaces exist on Linux only")
