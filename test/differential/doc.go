// Package differential runs the reference plugins and ours side by side and
// compares what comes of it. Replacing bridge, host-local, portmap and loopback
// on a node must change nothing that is not written down, with its reason, in
// docs/differences.md.
//
// Each case of the table (cases_*_test.go) is one configuration. It is run
// twice, as processes, each time on a node of its own: ADD, CHECK, DEL and DEL
// again. What is observed on the way (observe_privileged_test.go: results and
// errors, links, addresses, routes, sysctls, files; probe_privileged_test.go:
// which packets arrive, and from whom) becomes a list of names and values. A
// value that differs is either in the table of accepted differences
// (accepted_test.go), from which the page in docs is made, or fails the test;
// so does an accepted difference that no longer occurs.
//
// The other tests drive the plugins through libcni, as runtimes do, under the
// reference's names: chains with plugins of others, a plugin that delegates as
// flannel's does, the networks that podman, CRI-O and containerd come with, and
// a node that is switched from one implementation to the other and back while
// its pods run.
package differential
