// Command netplug is MasCRI's bridge plugin for CNI. A container runtime
// executes it; by hand it only says who it is. What it does is in package
// netplug, what it says and hears in package spec.
package main

import (
	"github.com/mascri/mascri/netplug"
	"github.com/mascri/mascri/spec"
)

func main() { spec.Main(netplug.Plugin()) }
