package portmap

import "github.com/mascri/mascri/spec"

// Plugin is the portmap plugin: spec.Main(portmap.Plugin()) is its whole program.
func Plugin() spec.Plugin {
	return spec.Plugin{
		Name:  "portmap",
		About: "CNI portmap plugin: leads ports of the host to a container (MasCRI netplug)",
		Add:   add, Del: del, Check: check, GC: gc, Status: status,
	}
}
