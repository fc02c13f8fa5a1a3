//go:build e2e && linux

package machine

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// insideEnv marks the copy of the test that runs in namespaces of its own.
const insideEnv = "MASCRI_TEST_ENGINE_INSIDE"

// TestStartEngine starts an engine where none answers and stops it again. The
// machine without an engine is made out of this one: mount, network and process
// namespaces of its own, with empty directories where the engine keeps things.
func TestStartEngine(t *testing.T) {
	if os.Getenv(insideEnv) == "1" {
		startAndStop(t)
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	inside := exec.CommandContext(ctx, "unshare", "--mount", "--net", "--pid", "--fork", "--mount-proc", "--kill-child",
		os.Args[0], "-test.run=^TestStartEngine$", "-test.v")
	inside.Env = append(os.Environ(), insideEnv+"=1", "DOCKER_HOST=")
	out, err := inside.CombinedOutput()
	t.Logf("inside:\n%s", out)
	if err != nil {
		t.Fatal(err)
	}
}

func startAndStop(t *testing.T) {
	for _, dir := range []string{"/run", "/var/lib/docker"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, ""); err != nil {
			t.Fatalf("mount tmpfs on %s: %v (needs CAP_SYS_ADMIN)", dir, err)
		}
	}
	if answers(t.Context()) == nil {
		t.Fatal("an engine answers already: the namespaces do not hide it")
	}
	said := &bytes.Buffer{}
	engine, err := StartEngine(t.Context(), said)
	if err != nil {
		t.Fatal(err)
	}
	if err := answers(t.Context()); err != nil {
		t.Errorf("after the start: %v", err)
	}
	second, err := StartEngine(t.Context(), said)
	if err != nil {
		t.Fatalf("with an engine that runs: %v", err)
	}
	if err := second.Stop(t.Context()); err != nil || answers(t.Context()) != nil {
		t.Errorf("who found the engine running stopped it (%v)", err)
	}
	if err := engine.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if answers(t.Context()) == nil {
		t.Error("an engine answers after Stop")
	}
	if running, _ := exec.Command("pgrep", "-l", "dockerd|containerd").Output(); len(running) > 0 {
		t.Errorf("left running: %s", strings.ReplaceAll(string(running), "\n", " "))
	}
}
