// Package stream serves the interactive half of the CRI: Exec, Attach and
// PortForward, and runs ExecSync.
//
// The CRI answers those three calls with a URL. The client then speaks SPDY or
// WebSocket to it, so bytes never pass through gRPC. The wire protocols are
// those of k8s.io/cri-streaming; this package adds what a node needs around
// them:
//
//   - token.go: a URL works once and for a minute.
//   - conn.go: each connection has a context that ends with it, a lifetime, and
//     is closed at shutdown. The library's own server gives port-forward a
//     context that never ends and forgets upgraded connections, so that a client
//     which vanishes leaves goroutines and sockets behind. That is why the
//     routes (server.go) are ours and the protocols are the library's.
//   - session.go: what the container engine has to offer, and the pumping.
//   - portforward.go: dials the pod's loopback from inside its network
//     namespace. No socat, no nsenter.
//   - execsync.go, proctree_linux.go: bounded output, and a timeout that kills
//     the command with everything it started.
//
// Start at Server, then Engine. The caller is cri.
package stream
