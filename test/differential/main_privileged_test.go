//go:build privileged

package differential

import (
	"context"
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

// Both implementations, set by TestMain.
var reference, ours implementation

// ourCommands are our programs and the names that they take the place of.
var ourCommands = map[string]string{"netplug": "bridge", "ipam": "host-local", "portmap": "portmap", "loopback": "loopback"}

// buildTimeout bounds the building of all plugins on a slow machine without
// any cache.
const buildTimeout = 10 * time.Minute

// TestMain builds both implementations. Under the name of a plugin of its own
// the test binary is that plugin.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == metaPlugin {
		os.Exit(runMetaPlugin())
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
	ours = implementation{"ours", temporary}
	if err := buildOurs(ctx, temporary); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// buildOurs builds our plugins under the reference's names.
func buildOurs(ctx context.Context, dir string) error {
	for command, name := range ourCommands {
		if _, err := os.Stat("../../cmd/" + command); err != nil {
			continue
		}
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", filepath.Join(dir, name), "./cmd/"+command)
		cmd.Dir = filepath.Join("..", "..")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", command, err, strings.TrimSpace(string(out)))
		}
	}
	return nil
}
