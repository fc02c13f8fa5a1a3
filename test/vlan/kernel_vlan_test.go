//go:build vlan

package vlan

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// wanted are the modules that the tests need and a kernel without modprobe(8)
// does not find by itself. nf_tables needs crc32c at the end of its chain, by
// name and not by symbol, so depmod(8) does not tell.
var wanted = []string{"bridge", "veth", "8021q", "crc32c_generic", "nf_tables"}

// kernel is a kernel to boot.
type kernel struct {
	version string   // as uname -r says it
	image   string   // the file to boot
	modules []string // files, each after those it needs
}

var dependsOn = regexp.MustCompile(`(?m)^\s*Depends: (linux-image-\S+)`)

// fetchKernel unpacks the package that linux-image-amd64 stands for, below dir
// and nowhere else: it is not installed.
func fetchKernel(ctx context.Context, dir string) (kernel, error) {
	said, err := output(ctx, dir, "apt-cache", "depends", "linux-image-amd64")
	found := dependsOn.FindStringSubmatch(said)
	if err != nil || found == nil {
		return kernel{}, errors.Join(err, fmt.Errorf("apt-cache knows no package that linux-image-amd64 stands for: run apt-get update, on a Debian machine; it said %q", said))
	}
	// apt's own user may not write below a temporary directory.
	download := []string{"download", "-q", "-o", "APT::Sandbox::User=root", found[1]}
	if _, err := output(ctx, dir, "apt-get", download...); err != nil {
		// The usual reason is a package list that is older than the archive.
		_, updateErr := output(ctx, dir, "apt-get", "update", "-q")
		if _, again := output(ctx, dir, "apt-get", download...); again != nil {
			return kernel{}, errors.Join(err, updateErr, again)
		}
	}
	if _, err := output(ctx, dir, "sh", "-c", "dpkg --extract linux-image-*.deb ."); err != nil {
		return kernel{}, err
	}
	return unpacked(ctx, dir, strings.TrimPrefix(found[1], "linux-image-"))
}

// unpacked finds the parts of the kernel below dir.
func unpacked(ctx context.Context, dir, version string) (kernel, error) {
	k := kernel{version: version, image: filepath.Join(dir, "boot", "vmlinuz-"+version)}
	// Since Debian 13 the package has usr/lib, and /lib is a link to it.
	if err := os.Symlink("usr/lib", filepath.Join(dir, "lib")); err != nil && !errors.Is(err, os.ErrExist) {
		return k, err
	}
	if _, err := output(ctx, dir, "depmod", "--basedir", dir, version); err != nil {
		return k, err
	}
	tree := filepath.Join(dir, "lib", "modules", version)
	dep, err := os.ReadFile(filepath.Join(tree, "modules.dep"))
	if err != nil {
		return k, err
	}
	builtin, err := os.ReadFile(filepath.Join(tree, "modules.builtin"))
	if err != nil {
		return k, err
	}
	files, err := loadOrder(string(dep), string(builtin), wanted)
	if err != nil {
		return k, fmt.Errorf("Linux %s: %w", version, err)
	}
	for _, file := range files {
		path := filepath.Join(tree, file)
		if plain, compressed := strings.CutSuffix(path, ".xz"); compressed {
			if _, err := output(ctx, dir, "xz", "--decompress", path); err != nil {
				return k, err
			}
			path = plain
		}
		k.modules = append(k.modules, path)
	}
	return k, nil
}

// loadOrder lists the files of the modules, each once and after those that it
// needs, from the text of modules.dep: "FILE: NEEDED NEEDED", the deepest last
// (modules.dep(5)). What is built in needs no loading.
func loadOrder(dep, builtin string, names []string) (files []string, err error) {
	needed := map[string][]string{} // module: its file and what that needs
	for line := range strings.Lines(dep) {
		file, others, _ := strings.Cut(strings.TrimSpace(line), ":")
		needed[moduleName(file)] = append([]string{file}, strings.Fields(others)...)
	}
	for _, name := range names {
		chain, ok := needed[name]
		if !ok && !strings.Contains(builtin, "/"+name+".ko\n") {
			return nil, fmt.Errorf("module %s is neither in modules.dep nor in modules.builtin", name)
		}
		for _, file := range slices.Backward(chain) {
			if !slices.Contains(files, file) {
				files = append(files, file)
			}
		}
	}
	return files, nil
}

// moduleName is "bridge" for kernel/net/bridge/bridge.ko and for bridge.ko.xz.
func moduleName(file string) string {
	name, _, _ := strings.Cut(filepath.Base(file), ".")
	return name
}
