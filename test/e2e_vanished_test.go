//go:build e2e && linux

package test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mascri/mascri/cri/docker"
)

// A container that is removed with docker rm -f is one that does not exist: to
// stop and to remove it succeeds, its pod goes on, and its name is free.
func TestWorkloadIsRemovedBehindOurBack(t *testing.T) {
	h := newInhabited(t)
	if err := engine(t).Remove(t.Context(), h.container); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if left := h.containerList(); len(left) > 0 {
			return errorf("still listed: %v", left)
		}
		return nil
	})
	_, err := h.ContainerStatus(t.Context(), &runtimeapi.ContainerStatusRequest{ContainerId: h.container})
	if status.Code(err) != codes.NotFound {
		t.Errorf("ContainerStatus: %v", err)
	}
	h.stopContainer(h.container)
	h.removeContainer(h.container)
	eventually(t, func() error {
		if left := h.entries(filepath.Join(h.dir, "state", "logs")); len(left) > 0 {
			return errorf("its position in the log is kept: %v", left)
		}
		return nil
	})
	h.runContainer(h.pods[0], shellContainer("web", "sleep 300"))
}

// A sandbox that is removed with docker rm -f takes its pod along: its containers
// would run on in namespaces that nobody knows of, and a kubelet would take them
// for those of the pod's next sandbox.
func TestSandboxIsRemovedUnderItsWorkload(t *testing.T) {
	h := newInhabited(t)
	if err := engine(t).Remove(t.Context(), h.pods[0]); err != nil {
		t.Fatal(err)
	}
	if got := h.awaitExit(h.container); got.GetExitCode() != 137 {
		t.Errorf("%v", got)
	}
	eventually(t, func() error {
		if held := strings.Join(h.leases(), " "); held != h.addresses[1].String() {
			return errorf("addresses held: %s, want %s alone", held, h.addresses[1])
		}
		return nil
	})
	h.remove(h.pods[0])
	if left := h.containerList(); len(left) > 0 {
		t.Errorf("containers %v", left)
	}
	pings(t, "", h.addresses[1])
}

// What was removed while the daemon was away is gone when it is back, with its
// address; what was left is as it was.
func TestRemovedWhileTheDaemonIsAway(t *testing.T) {
	h := newInhabited(t)
	h.stopDaemon(syscall.SIGKILL)
	for _, id := range []string{h.container, h.pods[1]} {
		if err := engine(t).Remove(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	h.start()
	h.awaitAnswer()
	if left := h.containerList(); len(left) > 0 {
		t.Errorf("containers %v", left)
	}
	if held := strings.Join(h.leases(), " "); held != h.addresses[0].String() {
		t.Errorf("addresses held: %s, want %s alone", held, h.addresses[0])
	}
	if left := h.veths(); len(left) != 1 {
		t.Errorf("links %v, want one", left)
	}
	if left := h.entries(filepath.Join(h.dir, "state", "logs")); len(left) > 0 {
		t.Errorf("positions in logs: %v", left)
	}
	if got := h.stateOf(h.pods[0]) + " " + h.stateOf(h.pods[2]); got != "SANDBOX_READY SANDBOX_NOTREADY" {
		t.Errorf("states %s", got)
	}
	pings(t, "", h.addresses[0])
}

// Containers go on without their image, also over a restart of the daemon; a new
// one is refused in words. The pause image comes back by itself.
func TestImageVanishes(t *testing.T) {
	h := newInhabited(t)
	for _, image := range []string{strings.TrimPrefix(testImage, "docker.io/"), docker.PauseImage} {
		shell(t, "docker", "image", "rm", "--force", image)
	}
	h.assertStates("RUNNING READY READY NOTREADY")
	h.restart(syscall.SIGKILL)
	h.assertStates("RUNNING READY READY NOTREADY")
	if image := h.containerStatus(h.container).GetImage().GetImage(); image != testImage {
		t.Errorf("the container is one of image %q, want %q", image, testImage)
	}
	_, err := h.CreateContainer(t.Context(), &runtimeapi.CreateContainerRequest{PodSandboxId: h.pods[0], Config: shellContainer("second", "sleep 300")})
	if status.Code(err) != codes.NotFound || !strings.Contains(err.Error(), testImage) {
		t.Errorf("CreateContainer: %v", err)
	}
	shell(t, "docker", "image", "rm", "--force", docker.PauseImage)
	h.assertNewAddress(h.addresses[:]...)
}

// At its start the daemon frees what no pod of its holds, on the network that is
// its alone; on another the holder may be somebody else's pod.
func TestOrphansAreCollected(t *testing.T) {
	n := newNode(t)
	pod := n.run(podConfig("kept"))
	orphan := func(network string) string {
		path := filepath.Join(filepath.Dir(leasesDir), network, "10.22.77.7")
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("stranger\r\neth0"), 0o644); err != nil { // as host-local writes it
			t.Fatal(err)
		}
		return path
	}
	own, shared := orphan("mascri"), orphan("shared")
	n.restart(syscall.SIGKILL)
	if _, err := os.Stat(own); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the lease of no pod on our own network is still there: %v", err)
	}
	if held := strings.Join(n.leases(), " "); held != n.addresses(pod)[0].String() {
		t.Errorf("addresses held: %s, want the pod's", held)
	}
	n.configure("05-shared.conflist", strings.Replace(conflist(t), `"name": "mascri"`, `"name": "shared"`, 1))
	n.restart(syscall.SIGKILL)
	if _, err := os.Stat(shared); err != nil {
		t.Errorf("a stranger's lease on a shared network: %v", err)
	}
	if state := n.stateOf(pod); state != "SANDBOX_READY" {
		t.Errorf("the pod is %s after another network came first", state)
	}
}
