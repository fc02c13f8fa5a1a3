//go:build !linux

package ipam

import "os"

func takePlace(temporary, path string) error { return os.Rename(temporary, path) }
