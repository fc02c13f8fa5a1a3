//go:build vlan

package vlan

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// Where the initramfs has the modules, named in the order of loading, and the
// IPAM plugin.
const (
	modulesDir = "/modules"
	pluginsDir = "/plugins"
)

// guest is the first process of the machine. The kernel panics when it ends, so
// it restarts the machine instead.
func guest(m *testing.M) {
	status := 1
	if err := errors.Join(mountAll(), loadModules()); err != nil {
		fmt.Println(err)
	} else {
		status = m.Run()
	}
	fmt.Printf("\n%s%d\n", verdict, status)
	unix.Sync()
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART); err != nil {
		fmt.Println("restart:", err)
	}
}

// mountAll mounts what any Linux program expects.
func mountAll() error {
	return errors.Join(
		unix.Mount("proc", "/proc", "proc", 0, ""),
		unix.Mount("sysfs", "/sys", "sysfs", 0, ""),
		unix.Mount("devtmpfs", "/dev", "devtmpfs", 0, ""))
}

func loadModules() error {
	files, err := filepath.Glob(modulesDir + "/*") // sorted
	if err != nil {
		return err
	}
	for _, file := range files {
		if err := loadModule(file); err != nil {
			return fmt.Errorf("load %s: %w", file, err)
		}
	}
	return nil
}

func loadModule(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.FinitModule(int(f.Fd()), "", 0)
}
