// Package monitor lets the daemon be watched: metrics for Prometheus, health and
// readiness, and profiles, over HTTP on this machine's loopback.
//
//   - server.go: the listener and its paths.
//   - metrics.go: what is counted; the callers report each call, plugin run and
//     request to the engine as it ends.
//   - state.go: what is looked up when it is asked for: readiness, addresses.
//   - probe.go: asks the daemon over its own socket, as the kubelet does.
//
// The Prometheus library is linked here alone, and so never into a plugin, whose
// start would pay for it. cmd/mascri wires the observers; docs/operating.md
// explains each metric.
package monitor
