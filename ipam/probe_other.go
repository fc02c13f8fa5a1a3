//go:build !linux

package ipam

import (
	"io/fs"
	"syscall"
)

// tryToWrite asks for permission: only Linux has files without a name.
func tryToWrite(dir string) error {
	const write = 2 // W_OK of access(2)
	if err := syscall.Access(dir, write); err != nil {
		return &fs.PathError{Op: "write to", Path: dir, Err: err}
	}
	return nil
}
