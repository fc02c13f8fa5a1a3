// Command loopback is MasCRI's loopback plugin for CNI. A container runtime
// executes it; by hand it only says who it is. What it does is in package
// netplug/loopback, what it says and hears in package spec.
package main

import (
	"github.com/mascri/mascri/netplug/loopback"
	"github.com/mascri/mascri/spec"
)

func main() { spec.Main(loopback.Plugin()) }
