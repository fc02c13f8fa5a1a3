//go:build !linux

package podnet

import "github.com/mascri/mascri/netplug/netns"

func pinNamespace(string, string) error { return netns.ErrUnsupported }
func unpinNamespace(string) error       { return netns.ErrUnsupported }
func unshareDir(string) error           { return nil }
func isNamespace(string) bool           { return false }
func exists(string) bool                { return false }
