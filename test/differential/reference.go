package differential

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// The reference plugins, as a Go module, and the version that is compared with.
const (
	referenceModule  = "github.com/containernetworking/plugins"
	ReferenceVersion = "v1.9.1"
)

// referencePlugins are the ones that we replace, and two that stand for all the
// others that a chain may hold.
var referencePlugins = []string{"main/bridge", "main/loopback", "ipam/host-local", "meta/portmap", "meta/tuning", "meta/firewall"}

// InstallReference builds the reference plugins and returns their directory. It
// is the user's cache directory, so this happens once a machine; only then does
// it need the network, or a module cache that holds the module.
func InstallReference(ctx context.Context) (dir string, err error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find a place for the reference plugins: %w", err)
	}
	dir = filepath.Join(cache, "mascri", "reference-"+ReferenceVersion)
	if complete(dir) {
		return dir, nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	building, err := os.MkdirTemp(filepath.Dir(dir), "building-")
	if err != nil {
		return "", err
	}
	if err := install(ctx, building); err != nil {
		return "", errors.Join(err, os.RemoveAll(building))
	}
	return dir, publish(building, dir)
}

func complete(dir string) bool {
	for _, plugin := range referencePlugins {
		if _, err := os.Stat(filepath.Join(dir, filepath.Base(plugin))); err != nil {
			return false
		}
	}
	return true
}

// install builds them outside of this module, whose go.mod does not know them.
func install(ctx context.Context, dir string) error {
	arguments := []string{"install", "-trimpath", "-ldflags", "-s -w"}
	for _, plugin := range referencePlugins {
		arguments = append(arguments, referenceModule+"/plugins/"+plugin+"@"+ReferenceVersion)
	}
	cmd := exec.CommandContext(ctx, "go", arguments...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOBIN="+dir, "GOFLAGS=", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the reference plugins %s: %w\n%s", ReferenceVersion, err, out)
	}
	return nil
}

// publish moves each plugin into place: whoever looks meanwhile finds an
// incomplete directory and builds as well, or a complete one.
func publish(building, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, plugin := range referencePlugins {
		name := filepath.Base(plugin)
		if err := os.Rename(filepath.Join(building, name), filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return os.RemoveAll(building)
}
