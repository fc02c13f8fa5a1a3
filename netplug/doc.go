// Package netplug is the bridge plugin: it gives a container an interface on
// a Linux bridge, with addresses from an IPAM plugin, and takes all of it back.
//
// One ADD, file by file:
//
//	verbs_linux.go   Add: parse, link and lease at once, plan, apply, result
//	config.go        stdin becomes a validated Config
//	plan.go          Config and leases become a Plan: a list of typed steps (pure)
//	step.go          what a step is, and how a list of them prints, applies, checks
//	bridge.go        \
//	gateway.go        |  one file a kind of kernel object: the step and its
//	veth.go …         |  shell command; beside it, in X_linux.go, the same
//	pod.go           /   over netlink
//	filter/          the packet filter: masquerade, host ports, forwarding
//	result.go        what the runtime is told
//
// A step prints, applies and checks the same thing, so that ADD, CHECK, the
// dry run, the trace and the documentation cannot drift apart. Node steps
// (the bridge, its address, forwarding, masquerade) are ensured, shared and
// never undone by one pod. Pod steps belong to the attachment; undoing them is
// what DEL does, and what a failed ADD does.
//
// DEL and GC need neither the container's namespace nor a prevResult: the name
// of the host's end of the veth pair is derived from network, container ID and
// interface name (names.go).
package netplug
