//go:build e2e && linux

package test

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mascri/mascri/cmd/mascri/machine"
)

// machineEngine is the machine's Docker engine; a test that restarts it puts the
// new one here.
var machineEngine *machine.Engine

// restartEngine ends the engine, with what keeps its containers unless it was
// told to leave them, and starts it again. In between, meanwhile runs.
func restartEngine(t *testing.T, meanwhile func()) {
	t.Helper()
	ctx, cancel := testContext()
	defer cancel()
	if err := machineEngine.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	meanwhile()
	started, err := machine.StartEngine(ctx, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	machineEngine = started
}

// configureEngine gives the engine a daemon.json, for as long as the test runs.
func configureEngine(t *testing.T, content string) {
	t.Helper()
	const path = "/etc/docker/daemon.json"
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	restartEngine(t, func() {})
	t.Cleanup(func() {
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
		restartEngine(t, func() {})
	})
}

// inhabited is a node with two pods, the first with a container; the third pod
// is stopped.
type inhabited struct {
	*node
	pods      [3]string
	container string
	addresses [2]netip.Addr
}

func newInhabited(t *testing.T) inhabited {
	t.Helper()
	importImage(t)
	h := inhabited{node: newNode(t)}
	for i := range h.pods {
		h.pods[i] = h.run(containerPod(fmt.Sprintf("pod-%d", i), filepath.Join(h.dir, "pods")))
	}
	h.container = h.runContainer(h.pods[0], shellContainer("web", "trap 'exit 0' TERM; echo up; sleep 3600 & wait $!"))
	h.addresses = [2]netip.Addr{h.node.addresses(h.pods[0])[0], h.node.addresses(h.pods[1])[0]}
	h.stop(h.pods[2])
	return h
}

// assertStates fails the test unless the pods and the container come to be as
// wanted: the daemon may learn of it a moment later.
func (h inhabited) assertStates(want string) {
	h.t.Helper()
	eventually(h.t, func() error {
		status, err := h.ContainerStatus(h.t.Context(), &runtimeapi.ContainerStatusRequest{ContainerId: h.container})
		if err != nil {
			return err
		}
		got := strings.TrimPrefix(status.GetStatus().GetState().String(), "CONTAINER_")
		for _, id := range h.pods {
			got += " " + strings.TrimPrefix(h.stateOf(id), "SANDBOX_")
		}
		if got != want {
			return errorf("container and pods are %s, want %s", got, want)
		}
		return nil
	})
}

// assertNewAddress fails the test unless a new pod works, at an address that no
// other pod has.
func (h inhabited) assertNewAddress(taken ...netip.Addr) {
	h.t.Helper()
	address := h.node.addresses(h.run(podConfig("new")))[0]
	for _, other := range taken {
		if address == other {
			h.t.Errorf("%s was given to a second pod", address)
		}
	}
	pings(h.t, "", address)
}

// An engine that restarts with live-restore keeps its containers, and so their
// pods stay as they are.
func TestEngineRestartsUnderLiveContainers(t *testing.T) {
	configureEngine(t, `{"live-restore": true}`)
	h := newInhabited(t)
	restartEngine(t, func() {
		if condition := h.condition(runtimeapi.RuntimeReady); condition.GetStatus() {
			t.Errorf("while the engine is away: %v", condition)
		}
	})
	h.assertStates("RUNNING READY READY NOTREADY")
	if after := h.node.addresses(h.pods[0])[0]; after != h.addresses[0] {
		t.Errorf("address %s, %s before the restart", after, h.addresses[0])
	}
	pings(t, "", h.addresses[0])
	if got := h.execSync(h.container, "echo still here"); got != "still here" {
		t.Errorf("the container says %q", got)
	}
	h.assertNewAddress(h.addresses[:]...)
}

// Without live-restore an engine that ends, ends its containers: their pods are
// not ready, keep their addresses until they are stopped, and go in the usual
// way.
func TestEngineRestartEndsContainers(t *testing.T) {
	h := newInhabited(t)
	h.assertEnd(func() { restartEngine(t, func() {}) })
	h.assertNewAddress(h.addresses[:]...)
}

// An engine that is killed tells nobody what became of its containers.
func TestEngineIsKilled(t *testing.T) {
	h := newInhabited(t)
	h.assertEnd(func() {
		h.killEngine()
		restartEngine(t, func() {})
	})
}

// assertEnd sees to it that end ends all containers, and that who listens to
// events is told of each, once.
func (h inhabited) assertEnd(end func()) {
	h.t.Helper()
	begin := time.Now()
	events, err := h.GetContainerEvents(h.t.Context(), &runtimeapi.GetEventsRequest{})
	if err != nil {
		h.t.Fatal(err)
	}
	time.Sleep(200 * time.Millisecond) // the call has no answer before the first event
	end()
	h.assertStates("EXITED NOTREADY NOTREADY NOTREADY")
	awaited := map[string]bool{h.container: true, h.pods[0]: true, h.pods[1]: true}
	for len(awaited) > 0 {
		event, err := events.Recv()
		if err != nil {
			h.t.Fatalf("not told of the end of %v: %v", awaited, err)
		}
		if event.GetCreatedAt() < begin.UnixNano() {
			continue // on its way when the listener came: the end of the pod that was stopped
		}
		if event.GetContainerEventType() != runtimeapi.ContainerEventType_CONTAINER_STOPPED_EVENT || !awaited[event.GetContainerId()] {
			h.t.Errorf("told %v", event)
		}
		delete(awaited, event.GetContainerId())
	}
}

// killEngine kills the engine, its containers and what holds them, as the power
// going does: everything in the machine's process namespace but its first process,
// the tests and a daemon that still runs.
func (n *node) killEngine() {
	n.t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		n.t.Fatal(err)
	}
	for _, path := range all {
		pid, err := strconv.Atoi(filepath.Base(path))
		if err != nil {
			n.t.Fatal(err)
		}
		if pid == 1 || pid == os.Getpid() || pid == n.daemon.Process.Pid {
			continue
		}
		if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
			n.t.Fatalf("kill %d: %v", pid, err)
		}
		eventually(n.t, func() error {
			if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
				return nil
			}
			return errorf("process %d has been killed and is still there", pid)
		})
	}
}

// TestHostIsBooted takes away what a boot does: processes, mounts of namespaces,
// the run directory, links, packet filter, and the boot's ID.
func TestHostIsBooted(t *testing.T) {
	h := newInhabited(t)
	h.stopDaemon(syscall.SIGKILL)
	h.killEngine()
	restartEngine(t, func() { h.boot() })
	h.start()
	h.awaitAnswer()
	h.assertStates("EXITED NOTREADY NOTREADY NOTREADY")
	if held := h.leases(); len(held) > 0 {
		t.Errorf("addresses are held for pods of before the boot: %v", held)
	}
	h.assertNewAddress()
}

// boot is the part of a boot that is neither the engine's nor the daemon's end.
func (n *node) boot() {
	n.t.Helper()
	for _, dir := range []string{filepath.Join(n.dir, "run"), "/run/docker", "/run/containerd"} {
		n.unmountBelow(dir)
		if err := os.RemoveAll(dir); err != nil {
			n.t.Fatal(err)
		}
	}
	shell(n.t, "nft", "flush", "ruleset")
	for _, link := range append(n.veths(), "mascri0", "docker0") {
		shell(n.t, "ip", "link", "delete", link)
	}
	id := filepath.Join(n.dir, "boot_id")
	if err := os.WriteFile(id, []byte("7c2e0a4e-0000-4000-8000-5af1ab1e0001\n"), 0o444); err != nil {
		n.t.Fatal(err)
	}
	const at = "/proc/sys/kernel/random/boot_id"
	if err := unix.Mount(id, at, "", unix.MS_BIND, ""); err != nil {
		n.t.Fatalf("mount --bind %s %s: %v", id, at, err)
	}
	n.t.Cleanup(func() {
		if err := unix.Unmount(at, unix.MNT_DETACH); err != nil {
			n.t.Error(err)
		}
	})
}

// unmountBelow takes off what is mounted in a directory, the last first.
func (n *node) unmountBelow(dir string) {
	n.t.Helper()
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		n.t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(table)), "\n")
	for _, line := range slices.Backward(lines) {
		path := strings.Fields(line)[4] // proc_pid_mountinfo(5)
		if !strings.HasPrefix(path, dir+"/") {
			continue
		}
		err := unix.Unmount(path, unix.MNT_DETACH)
		// It went with another, or another mount lies over it.
		if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
			n.t.Fatalf("umount %s: %v", path, err)
		}
	}
}
