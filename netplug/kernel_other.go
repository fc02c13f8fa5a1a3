//go:build !linux

package netplug

// kernelStep is empty where there is no Linux kernel: a step can be printed
// there, and neither applied nor checked.
type kernelStep any
