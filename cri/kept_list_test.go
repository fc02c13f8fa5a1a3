//go:build linux

package cri

import (
	"testing"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mascri/mascri/cri/docker"
)

// seen is what both lists show, asked twice: the second answer is a kept one.
func (b *bench) seen() string {
	b.t.Helper()
	var texts [2]string
	for i := range texts {
		pods, err := b.ListPodSandbox(b.t.Context(), &runtimeapi.ListPodSandboxRequest{})
		if err != nil {
			b.t.Fatal(err)
		}
		containers, err := b.ListContainers(b.t.Context(), &runtimeapi.ListContainersRequest{})
		if err != nil {
			b.t.Fatal(err)
		}
		for _, pod := range pods.GetItems() {
			texts[i] += pod.GetMetadata().GetName() + " " + pod.GetState().String() + "; "
		}
		for _, container := range containers.GetContainers() {
			texts[i] += container.GetMetadata().GetName() + " " + container.GetState().String() + "; "
		}
	}
	if texts[0] != texts[1] {
		b.t.Errorf("asked twice, the lists are %q and %q", texts[0], texts[1])
	}
	return texts[0]
}

// A list that is kept is right after each call, and after what came to be known by
// an event.
func TestKeptListsFollowEachChange(t *testing.T) {
	b, engine := newContainerBench(t)
	engine.events <- docker.Event{Action: docker.ActionResync}
	expect := func(when, want string) {
		t.Helper()
		if got := b.seen(); got != want {
			t.Errorf("%s: %q, want %q", when, got, want)
		}
	}
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		if _, known := b.server.version(); known {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the memory is not trusted 5 s after the events began")
		}
	}
	expect("at first", "")
	pod := b.mustRun(goodPod("web"))
	expect("after RunPodSandbox", "web SANDBOX_READY; ")
	id, err := b.create(pod, goodContainer("c"))
	if err != nil {
		t.Fatal(err)
	}
	expect("after CreateContainer", "web SANDBOX_READY; c CONTAINER_CREATED; ")
	if _, err := b.StartContainer(t.Context(), &runtimeapi.StartContainerRequest{ContainerId: id}); err != nil {
		t.Fatal(err)
	}
	expect("after StartContainer", "web SANDBOX_READY; c CONTAINER_RUNNING; ")
	if err := engine.end(id); err != nil {
		t.Fatal(err)
	}
	labels := map[string]string{labelKind: kindContainer, labelSandbox: pod}
	engine.events <- docker.Event{Action: docker.ActionDie, ID: id, Labels: labels, Time: time.Now()}
	const ended = "web SANDBOX_READY; c CONTAINER_EXITED; "
	for end := time.Now().Add(5 * time.Second); b.seen() != ended; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("5 s after the event: %q, want %q", b.seen(), ended)
		}
	}
	if err := b.stop(pod); err != nil {
		t.Fatal(err)
	}
	expect("after StopPodSandbox", "web SANDBOX_NOTREADY; c CONTAINER_EXITED; ")
	if err := b.remove(pod); err != nil {
		t.Fatal(err)
	}
	expect("after RemovePodSandbox", "")
}
