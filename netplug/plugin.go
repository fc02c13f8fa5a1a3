package netplug

import "github.com/mascri/mascri/spec"

// Plugin is the bridge plugin: spec.Main(netplug.Plugin()) is its whole program.
func Plugin() spec.Plugin {
	return spec.Plugin{
		Name:  "netplug",
		About: "CNI bridge plugin: connects containers to a Linux bridge (MasCRI netplug)",
		Add:   add, Del: del, Check: check, GC: gc, Status: status,
	}
}
