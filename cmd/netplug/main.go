// Command netplug is MasCRI's bridge plugin for CNI. A container runtime
// executes it; by hand it only says who it is. What it does is in package
// netplug, what it says and hears in package spec.
package main

import (
	"github.com/mascri/mascri/ipam"
	"github.com/mascri/mascri/netplug"
	"github.com/mascri/mascri/spec"
)

// ipamBuildID is that of the program ipam which was built just before this one
// ("make build").
var ipamBuildID string

func main() {
	plugin := netplug.Plugin()
	plugin.Linked = &spec.Linked{Plugin: ipam.Plugin(), BuildID: ipamBuildID}
	spec.Main(plugin)
}
