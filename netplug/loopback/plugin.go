package loopback

import "github.com/mascri/mascri/spec"

// Plugin is the loopback plugin: spec.Main(loopback.Plugin()) is its whole
// program. It has no GC: lo is the namespace's and goes with it, so there is
// nothing on the node that could be left over.
func Plugin() spec.Plugin {
	return spec.Plugin{
		Name:  "loopback",
		About: "CNI loopback plugin: brings up lo in a container's network namespace (MasCRI netplug)",
		Add:   add, Del: del, Check: check, Status: status,
	}
}
