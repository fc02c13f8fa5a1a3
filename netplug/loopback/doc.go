// Package loopback is the loopback plugin: it brings up lo in a container's
// network namespace. Runtimes run it before the network proper, because a new
// namespace has its lo down, and programs expect 127.0.0.1 to answer.
//
// It is the smallest whole CNI plugin there is: one kernel object, no
// configuration, no address to lease. Read it before package netplug, which is
// the same with everything that a real network needs; what both say and hear is
// in package spec.
package loopback
