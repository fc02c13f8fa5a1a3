//go:build vlan

package vlan

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"testing"

	"github.com/mascri/mascri/ipam"
	"github.com/mascri/mascri/spec"
)

// initPath is the first program that a kernel starts from an initramfs
// (Documentation/filesystems/ramfs-rootfs-initramfs.rst).
const initPath = "/init"

// TestMain plays the role that the program was started in.
func TestMain(m *testing.M) {
	switch {
	case filepath.Base(os.Args[0]) == "ipam":
		spec.Main(ipam.Plugin())
	case os.Args[0] == initPath:
		guest(m)
	default:
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
		err := host(ctx)
		stop()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}
