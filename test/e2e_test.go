//go:build e2e && linux

package test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mascri/mascri/cmd/mascri/machine"
)

// The end-to-end tests run on a machine within the machine: mount, network and
// process namespaces of their own, a Docker engine of their own in them, empty
// directories where pods leave traces. So they start from nothing, whatever
// runs outside, may look at everything that is left, and leave the outside
// alone. The kernel and the engine's programs are the real ones.
//
// The test binary starts itself again inside; binEnv tells the copy that it is
// there, and where the programs under test are.
const binEnv = "TEST_MASCRI_BIN"

// ownDirectories are empty inside.
var ownDirectories = []string{"/run", "/var/lib/docker", "/var/lib/cni", "/var/lib/mascri", "/etc/cni", "/etc/docker", "/opt/cni"}

func TestMain(m *testing.M) {
	if bin := os.Getenv(binEnv); bin != "" {
		os.Exit(runInside(m))
	}
	code, err := startInside()
	if err != nil {
		fmt.Fprintln(os.Stderr, "end-to-end tests:", err)
		code = 1
	}
	os.Exit(code)
}

// startInside builds the programs and runs this test binary, with the arguments
// it was given, in namespaces of its own.
func startInside() (code int, err error) {
	bin, err := os.MkdirTemp("", "mascri-e2e-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(bin)) }()
	build := exec.Command("make", "build", "BIN="+bin)
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("build the programs: %w\n%s", err, out)
	}
	// The first process of a process namespace has to reap its orphans
	// (pid_namespaces(7)), such as the shims of containers; a shell does.
	const first = `"$@" & wait $!`
	arguments := append([]string{"--mount", "--net", "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c", first, "sh", os.Args[0]}, os.Args[1:]...)
	inside := exec.Command("unshare", arguments...)
	inside.Env = append(os.Environ(), binEnv+"="+bin, "DOCKER_HOST=")
	inside.Stdout, inside.Stderr = os.Stdout, os.Stderr
	err = inside.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), nil
	}
	return 0, err
}

// runInside makes the machine, runs the tests on it and takes it down.
func runInside(m *testing.M) int {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if err := makeMachine(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "end-to-end tests: make a machine:", err)
		return 1
	}
	code := m.Run()
	if err := machineEngine.Stop(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "end-to-end tests:", err)
		return 1
	}
	return code
}

func makeMachine(ctx context.Context) (err error) {
	if inheritedMounts, err = nsfsMounts(); err != nil {
		return err
	}
	// What lies below the new /run counts as well: an engine looks for the mount
	// that a path is on, and takes the first. EINVAL: it was not a mount.
	if err := shareRun(); err != nil && !errors.Is(err, unix.EINVAL) {
		return err
	}
	for _, dir := range ownDirectories {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=755"); err != nil {
			return fmt.Errorf("mount tmpfs on %s: %w (needs CAP_SYS_ADMIN)", dir, err)
		}
	}
	if err := shareRun(); err != nil {
		return err
	}
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		return fmt.Errorf("ip link set lo up: %w: %s", err, out)
	}
	machineEngine, err = machine.StartEngine(ctx, os.Stderr)
	return err
}

// shareRun makes /run a shared mount, as systemd has it: run-in-docker's mounts
// need that (mount_namespaces(7)).
func shareRun() error {
	if err := unix.Mount("", "/run", "", unix.MS_SHARED, ""); err != nil {
		return fmt.Errorf("mount --make-shared /run: %w", err)
	}
	return nil
}

// program is the path of one of the programs under test.
func program(name string) string { return filepath.Join(os.Getenv(binEnv), name) }

// testContext is for what still has to be done when a test's own context has
// ended: looking at what it left.
func testContext() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), time.Minute)
}

// output runs a command and returns what it wrote; a failure ends the test.
func output(t *testing.T, ctx context.Context, command string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(ctx, command, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %v: %v", command, args, err)
	}
	return string(out)
}

// shell runs a command and returns its output; a failure ends the test.
func shell(t *testing.T, command string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), command, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", command, args, err, out)
	}
	return string(out)
}

// eventually waits until a condition holds: ok is asked until it returns nil.
func eventually(t *testing.T, ok func() error) {
	t.Helper()
	deadline := time.Now().Add(15 * time.Second)
	for {
		err := ok()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
