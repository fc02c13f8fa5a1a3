//go:build linux

package cri

import (
	"testing"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mascri/mascri/cri/docker"
)

// vanish removes a pod's sandbox behind our back. The pod has a container, and
// another pod beside it one, which must not notice.
func (b *bench) vanish(engine *fakeWorkload) (gone docker.Container, orphan, other string) {
	b.t.Helper()
	pod := b.mustRun(goodPod("robbed"))
	orphan, other = b.mustStart(pod), b.mustStart(b.mustRun(goodPod("other")))
	gone, err := engine.Inspect(b.t.Context(), pod)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := b.engine.Engine.Remove(b.t.Context(), pod); err != nil {
		b.t.Fatal(err)
	}
	return gone, orphan, other
}

func (b *bench) mustStart(pod string) string {
	b.t.Helper()
	id, err := b.create(pod, goodContainer("c"))
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.StartContainer(b.t.Context(), &runtimeapi.StartContainerRequest{ContainerId: id}); err != nil {
		b.t.Fatal(err)
	}
	return id
}

func (b *bench) assertEnded(gone docker.Container, orphan, other string) {
	b.t.Helper()
	if state := b.status(orphan).GetState(); state != runtimeapi.ContainerState_CONTAINER_EXITED {
		b.t.Errorf("the container of the removed sandbox is %s", state)
	}
	if state := b.status(other).GetState(); state != runtimeapi.ContainerState_CONTAINER_RUNNING {
		b.t.Errorf("another pod's container is %s", state)
	}
	b.network.mu.Lock()
	defer b.network.mu.Unlock()
	if b.network.attached[gone.ID] {
		b.t.Error("the removed sandbox is still attached")
	}
}

// Whose sandbox is removed by somebody else is ended: nobody else would.
func TestSandboxVanishes(t *testing.T) {
	b, engine := newContainerBench(t)
	gone, orphan, other := b.vanish(engine)
	engine.events <- docker.Event{Action: docker.ActionRemove, ID: gone.ID, Labels: gone.Labels, Time: time.Now()}
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if c, _ := engine.get(orphan); c.State != docker.Running {
			break
		}
	}
	if c, _ := engine.get(orphan); c.State != docker.Exited {
		t.Fatalf("the container of the removed sandbox is %s", c.State)
	}
	if err := b.remove(gone.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := b.ContainerStatus(t.Context(), &runtimeapi.ContainerStatusRequest{ContainerId: orphan}); err == nil {
		t.Error("RemovePodSandbox left the container of a sandbox that has vanished")
	}
	if state := b.status(other).GetState(); state != runtimeapi.ContainerState_CONTAINER_RUNNING {
		t.Errorf("another pod's container is %s", state)
	}
}

// The same, seen by the next daemon, and by a caller that knows the ID.
func TestSandboxVanishedBefore(t *testing.T) {
	for name, act := range map[string]func(b *bench, gone string) error{
		"recover": func(b *bench, _ string) error { return b.server.containers.recoverVanished(b.t.Context()) },
		"stop":    func(b *bench, gone string) error { return b.stop(gone) },
	} {
		t.Run(name, func(t *testing.T) {
			b, engine := newContainerBench(t)
			gone, orphan, other := b.vanish(engine)
			if err := act(b, gone.ID); err != nil {
				t.Fatal(err)
			}
			b.assertEnded(gone, orphan, other)
		})
	}
}
