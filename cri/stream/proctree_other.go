//go:build !linux

package stream

import (
	"context"
	"errors"
	"syscall"
)

// signalTree needs the engine's processes to be this machine's.
func signalTree(context.Context, string, Process, syscall.Signal) error {
	return errors.New("the container's processes can be signalled on Linux only")
}
