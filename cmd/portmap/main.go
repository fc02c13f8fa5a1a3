// Command portmap is MasCRI's portmap plugin for CNI. A container runtime
// executes it after the plugin that made the interface; by hand it only says
// who it is. What it does is in package netplug/portmap, what it says and hears
// in package spec.
package main

import (
	"github.com/mascri/mascri/netplug/portmap"
	"github.com/mascri/mascri/spec"
)

func main() { spec.Main(portmap.Plugin()) }
