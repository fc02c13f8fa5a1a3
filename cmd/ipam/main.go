// Command ipam is the CNI plugin that leases addresses, a drop-in for
// host-local. The work is in package ipam.
package main

import (
	"github.com/mascri/mascri/ipam"
	"github.com/mascri/mascri/spec"
)

func main() { spec.Main(ipam.Plugin()) }
