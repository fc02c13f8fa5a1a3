// Package spec is the plugin's side of the CNI protocol: what arrives in the
// environment and on stdin becomes a validated [Request], a verb runs, and its
// result or error leaves on stdout in the form and version the caller asked for.
//
// The protocol is https://github.com/containernetworking/cni/blob/spec-v1.1.0/SPEC.md;
// section numbers in this package's comments are those of that text.
//
// Read it in this order: plugin.go (one execution from start to exit),
// request.go (what is checked before a verb sees anything), error.go (codes),
// delegate.go (how a bridge asks its IPAM plugin for addresses), trace.go
// (how a step reaches the caller's trace). Then go on to package netplug.
package spec
