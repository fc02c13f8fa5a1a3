//go:build privileged

package differential

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// An implementation is a directory of plugins under the reference's names.
type implementation struct {
	name string // "reference" or "ours"
	bin  string
}

// Both implementations, and the plugins of others; set by TestMain.
var (
	reference, ours implementation
	others          string
)

// ourCommands are our programs and the names that they take the place of.
var ourCommands = map[string]string{"netplug": "bridge", "ipam": "host-local", "portmap": "portmap", "loopback": "loopback"}

// buildTimeout bounds the building of all plugins on a slow machine without
// any cache.
const buildTimeout = 10 * time.Minute

// TestMain builds both implementations. Under the name of a plugin of its own
// the test binary is that plugin.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == metaPlugin {
		runMetaPlugin()
	}
	code, err := runTests(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func runTests(m *testing.M) (code int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), buildTimeout)
	defer cancel()
	dir, err := InstallReference(ctx)
	if err != nil {
		return 1, err
	}
	reference = implementation{"reference", dir}
	temporary, err := os.MkdirTemp("", "differential-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(temporary)
	ours, others = implementation{"ours", filepath.Join(temporary, "ours")}, filepath.Join(temporary, "others")
	if err := errors.Join(buildOurs(ctx, ours.bin), linkOthers(dir)); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// linkOthers makes a directory of the plugins that we do not replace: some of
// the reference's, and this test as the plugin that delegates.
func linkOthers(reference string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return errors.Join(
		os.Mkdir(others, 0o755),
		os.Symlink(filepath.Join(reference, "tuning"), filepath.Join(others, "tuning")),
		os.Symlink(filepath.Join(reference, "firewall"), filepath.Join(others, "firewall")),
		os.Symlink(self, filepath.Join(others, metaPlugin)))
}

// buildOurs builds our plugins under the reference's names.
func buildOurs(ctx context.Context, dir string) error {
	cmd := exec.CommandContext(ctx, "make", "-C", "../..", "plugins", "BIN="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build our plugins: %w\n%s", err, strings.TrimSpace(string(out)))
	}
	var errs []error
	for command, name := range ourCommands {
		errs = append(errs, os.Rename(filepath.Join(dir, command), filepath.Join(dir, name)))
	}
	return errors.Join(errs...)
}
