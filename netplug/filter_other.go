//go:build !linux

package netplug

// filterRule is empty where there is no Linux kernel.
type filterRule any
