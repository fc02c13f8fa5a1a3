//go:build linux

package cri

import (
	"testing"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mascri/mascri/cri/docker"
)

// ended is a container that was started and killed at once, as the CRI tells.
func (b *bench) ended() string {
	b.t.Helper()
	id, err := b.create(b.mustRun(goodPod("web")), goodContainer("c"))
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.StartContainer(b.t.Context(), &runtimeapi.StartContainerRequest{ContainerId: id}); err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.StopContainer(b.t.Context(), &runtimeapi.StopContainerRequest{ContainerId: id}); err != nil {
		b.t.Fatal(err)
	}
	return id
}

func (b *bench) status(id string) *runtimeapi.ContainerStatus {
	b.t.Helper()
	answer, err := b.ContainerStatus(b.t.Context(), &runtimeapi.ContainerStatusRequest{ContainerId: id})
	if err != nil {
		b.t.Fatal(err)
	}
	return answer.GetStatus()
}

// The engine may tell of a container's end first, and of the reason later. Here
// the time in which it may stands still.
func TestOutOfMemoryToldLate(t *testing.T) {
	b, engine := newContainerBench(t)
	id := b.ended()
	c, _ := engine.get(id)
	b.server.now = func() time.Time { return c.Finished }
	told := make(chan string)
	go func() {
		answer, err := b.ContainerStatus(t.Context(), &runtimeapi.ContainerStatusRequest{ContainerId: id})
		if err != nil {
			t.Error(err)
		}
		told <- answer.GetStatus().GetReason()
	}()
	select {
	case reason := <-told:
		t.Fatalf("told of the end before the engine could say why: %s", reason)
	case <-time.After(5 * oomPoll):
	}
	if err := engine.set(id, func(c *docker.Container) { c.OOMKilled = true }); err != nil {
		t.Fatal(err)
	}
	if reason := <-told; reason != "OOMKilled" {
		t.Error(reason)
	}
}

// Not every killed container ran out of memory: the wait has an end.
func TestKilledForOtherReasons(t *testing.T) {
	b, _ := newContainerBench(t)
	if status := b.status(b.ended()); status.GetReason() != "Error" || status.GetExitCode() != exitKilled {
		t.Errorf("%v", status)
	}
}

// A container that could not be started has a time of its end: the kubelet
// counts the delay before the next attempt from it.
func TestFailedStartHasAnEnd(t *testing.T) {
	b, engine := newContainerBench(t)
	id, err := b.create(b.mustRun(goodPod("web")), goodContainer("c"))
	if err != nil {
		t.Fatal(err)
	}
	err = engine.set(id, func(c *docker.Container) { c.Error, c.ExitCode = "exec: no such file", 127 })
	if err != nil {
		t.Fatal(err)
	}
	status := b.status(id)
	if status.GetReason() != "StartError" || status.GetFinishedAt() == 0 || status.GetFinishedAt() != status.GetCreatedAt() {
		t.Errorf("%v", status)
	}
}
