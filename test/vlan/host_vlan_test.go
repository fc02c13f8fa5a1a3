//go:build vlan

package vlan

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/mascri/mascri/cmd/mascri/machine"
)

// needs are the programs that fetch a kernel and run it.
var needs = []machine.Need{
	{Program: "qemu-system-x86_64", Package: "qemu-system-x86"},
	{Program: "depmod", Package: "kmod"},
	{Program: "cpio", Package: "cpio"},
	{Program: "xz", Package: "xz-utils"},
}

// host makes the machine, has it run the tests and reports what they said.
func host(ctx context.Context) (err error) {
	if runtime.GOARCH != "amd64" {
		return fmt.Errorf("the tests run on Debian's amd64 kernel, and this program is for %s: run make test-vlan on an amd64 machine", runtime.GOARCH)
	}
	if err := machine.Provide(ctx, os.Stderr, needs...); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "vlan-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	start := time.Now()
	k, err := fetchKernel(ctx, dir)
	if err != nil {
		return err
	}
	initramfs, err := buildInitramfs(ctx, dir, k)
	if err != nil {
		return err
	}
	ready := time.Now()
	console, err := boot(ctx, k.image, initramfs)
	if err := errors.Join(err, judge(console)); err != nil {
		return fmt.Errorf("the machine's console:\n%s\n\nLinux %s in qemu: %w", console, k.version, err)
	}
	fmt.Printf("%s\nLinux %s in qemu: %d tests passed, in %s (and %s to fetch the kernel)\n",
		strings.Join(passed(console), "\n"), k.version, len(passed(console)),
		time.Since(ready).Round(time.Second), ready.Sub(start).Round(time.Second))
	return nil
}

// buildInitramfs packs this program as /init, and the modules in the order in
// which it is to load them.
func buildInitramfs(ctx context.Context, dir string, k kernel) (string, error) {
	tree := filepath.Join(dir, "tree")
	for _, sub := range []string{modulesDir, pluginsDir, "/dev", "/proc", "/sys", "/tmp"} {
		if err := os.MkdirAll(filepath.Join(tree, sub), 0o755); err != nil {
			return "", err
		}
	}
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	if err := copyFile(self, filepath.Join(tree, initPath)); err != nil {
		return "", err
	}
	if err := os.Symlink(initPath, filepath.Join(tree, pluginsDir, "ipam")); err != nil {
		return "", err
	}
	for i, module := range k.modules {
		to := fmt.Sprintf("%02d-%s", i, filepath.Base(module))
		if err := copyFile(module, filepath.Join(tree, modulesDir, to)); err != nil {
			return "", err
		}
	}
	initramfs := filepath.Join(dir, "initramfs")
	_, err = output(ctx, tree, "sh", "-c", `find . | cpio --quiet --create --format=newc > "$0"`, initramfs)
	return initramfs, err
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// output runs a program in a directory and gives what it prints.
func output(ctx context.Context, dir, program string, args ...string) (string, error) {
	var stderr strings.Builder
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Stderr = dir, &stderr
	stdout, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%s %s: %w\n%s", program, strings.Join(args, " "), err, stderr.String())
	}
	return string(stdout), err
}
