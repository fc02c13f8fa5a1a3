//go:build e2e && bench && linux

package test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/encoding"
	protocodec "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mascri/mascri/test/figures"
)

const (
	benchPods   = 100
	benchImages = 50  // beside the two that the pods use
	benchLooks  = 200 // of each kind
	// idleWindow is how long the idle daemon is watched for its use of the CPU,
	// traceWindow for what it starts.
	idleWindow, traceWindow = time.Minute, 15 * time.Second
)

// TestBenchNode measures what a full node costs: 100 pods, first with a
// container each, then with two.
func TestBenchNode(t *testing.T) {
	importImage(t)
	importImages(t)
	a := newTap(t)
	n := newNode(t, tapped(a))
	pods := make([]string, benchPods)
	atOnce(benchPods, func(i int) {
		pods[i] = n.runSafely(fmt.Sprintf("full-%d", i), kubeletLabels)
		n.containerSafely(pods[i], "one")
	})
	idle := figures.Table{Name: "idle", Header: []string{"the idle daemon with 100 pods", "measured", "target"}}
	n.addIdle(&idle)
	idle.Write(t, *page)

	tb := figures.Table{Name: "lists", Header: []string{"call", "objects in the answer", "p50, ms", "of it to decode, ms", "target, ms", "calls of the engine"}}
	n.addLook(&tb, a, "ListContainerStats", 10, func() (int, proto.Message) {
		list := n.containerStats()
		return len(list), &runtimeapi.ListContainerStatsResponse{Stats: list}
	})
	atOnce(benchPods, func(i int) { n.containerSafely(pods[i], "two") })
	id := n.containerList()[0].GetId()
	n.addLook(&tb, a, "PodSandboxStatus", 0.5, func() (int, proto.Message) { return 1, n.status(pods[0]) })
	n.addLook(&tb, a, "ContainerStatus", 0.5, func() (int, proto.Message) { return 1, n.containerStatus(id) })
	n.addLook(&tb, a, "ListPodSandbox", 0.5, func() (int, proto.Message) {
		list := n.list(nil)
		return len(list), &runtimeapi.ListPodSandboxResponse{Items: list}
	})
	n.addLook(&tb, a, "ListContainers", 0.5, func() (int, proto.Message) {
		list := n.containerList()
		return len(list), &runtimeapi.ListContainersResponse{Containers: list}
	})
	n.addImageLooks(&tb, a)
	tb.Write(t, *page)
	atOnce(benchPods, func(i int) { n.removeSafely(pods[i]) })
}

// addImageLooks measures what the kubelet asks of images.
func (n *node) addImageLooks(tb *figures.Table, a *tap) {
	images := n.images()
	n.addLook(tb, a, "ListImages", 0.5, func() (int, proto.Message) {
		list, err := images.ListImages(n.t.Context(), &runtimeapi.ListImagesRequest{})
		if err != nil {
			n.t.Fatalf("ListImages: %v", err)
		}
		return len(list.GetImages()), list
	})
	n.addLook(tb, a, "ImageStatus", 0.5, func() (int, proto.Message) {
		found, err := images.ImageStatus(n.t.Context(), &runtimeapi.ImageStatusRequest{Image: &runtimeapi.ImageSpec{Image: testImage}})
		if err != nil || found.GetImage() == nil {
			n.t.Fatalf("ImageStatus: %v, %v", found, err)
		}
		return 1, found
	})
}

// importImages makes images that nothing uses.
func importImages(t *testing.T) {
	t.Helper()
	const one = "tar --create --files-from /dev/null | docker import --change 'LABEL org.opencontainers.image.title=app' - bench.example/team/app:%d\n"
	var script strings.Builder
	for i := range benchImages {
		fmt.Fprintf(&script, one, i)
	}
	shell(t, "sh", "-ec", script.String())
	t.Cleanup(func() {
		ctx, cancel := testContext()
		defer cancel()
		output(t, ctx, "docker", "image", "prune", "--all", "--force")
	})
}

// kubeletLabels is a change for podConfig: what the kubelet and a Deployment label
// a pod with. Most of a long list is labels.
func kubeletLabels(c *runtimeapi.PodSandboxConfig) {
	c.Labels = map[string]string{
		"io.kubernetes.pod.name": c.Metadata.Name, "io.kubernetes.pod.namespace": c.Metadata.Namespace, "io.kubernetes.pod.uid": c.Metadata.Uid,
		"app": "bench", "pod-template-hash": "66d8c6b5c",
	}
	c.Annotations = map[string]string{"kubernetes.io/config.seen": "2026-11-25T09:00:00.000000000Z", "kubernetes.io/config.source": "api"}
}

// containerSafely runs a container, from another goroutine than the test's.
func (n *node) containerSafely(pod, name string) {
	config := shellContainer(name, "sleep 3600", func(c *runtimeapi.ContainerConfig) {
		c.Labels = map[string]string{
			"io.kubernetes.container.name": name, "io.kubernetes.pod.name": "full", "io.kubernetes.pod.namespace": "test", "io.kubernetes.pod.uid": "uid",
		}
		c.Annotations = map[string]string{
			"io.kubernetes.container.hash": "5f3b7e2c", "io.kubernetes.container.restartCount": "0", "io.kubernetes.pod.terminationGracePeriod": "30",
		}
	})
	created, err := n.CreateContainer(n.t.Context(), &runtimeapi.CreateContainerRequest{PodSandboxId: pod, Config: config})
	if err == nil {
		_, err = n.StartContainer(n.t.Context(), &runtimeapi.StartContainerRequest{ContainerId: created.GetContainerId()})
	}
	if err != nil {
		n.t.Errorf("container %s in pod %s: %v", name, pod, err)
	}
}

// addLook measures a call that only looks, the caller's part of it, which is to
// decode the answer, and counts what it costs the engine.
func (n *node) addLook(tb *figures.Table, a *tap, name string, target float64, look func() (objects int, answer proto.Message)) {
	n.t.Helper()
	a.awaitQuiet(n.t)
	objects, answer := look()
	wire, err := proto.Marshal(answer)
	if err != nil {
		n.t.Fatal(err)
	}
	codec := encoding.GetCodecV2(protocodec.Name)
	var times, decoding figures.Series
	asked := a.during(func() {
		for range benchLooks {
			times = append(times, took(func() { look() }))
			frames := framesOf(wire)
			decoding = append(decoding, took(func() { err = errors.Join(err, codec.Unmarshal(frames, answer)) }))
		}
	})
	if err != nil {
		n.t.Fatal(err)
	}
	tb.Add(name, strconv.Itoa(objects), figures.MS(times.P50()), figures.MS(decoding.P50()), fmt.Sprint("≤ ", target), strconv.Itoa(len(asked)))
}

// framesOf is a message as gRPC receives it: in frames of HTTP/2, 16 KB at most.
func framesOf(wire []byte) (frames mem.BufferSlice) {
	for frame := range slices.Chunk(wire, 16<<10) {
		frames = append(frames, mem.SliceBuffer(frame))
	}
	return frames
}

// addIdle watches the daemon while nobody calls.
func (n *node) addIdle(tb *figures.Table) {
	n.t.Helper()
	time.Sleep(5 * time.Second) // the last calls' events
	before := n.cpuTime()
	time.Sleep(idleWindow)
	used := n.cpuTime() - before
	tb.Add("use of one core", fmt.Sprintf("%.2f %%", 100*used.Seconds()/idleWindow.Seconds()), "≤ 0.5 %")
	tb.Add("resident memory", fmt.Sprintf("%.1f MB", float64(n.statusOfDaemon("VmRSS"))/1024), "≤ 60 MB")
	tb.Add("processes started", strconv.Itoa(n.startedWithin(traceWindow)), "0")
}

// cpuTime is the daemon's user and system time: fields 14 and 15 of
// proc_pid_stat(5), counted from the name's closing parenthesis, in ticks of
// 10 ms.
func (n *node) cpuTime() time.Duration {
	n.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", n.daemon.Process.Pid))
	if err != nil {
		n.t.Fatal(err)
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	ticks := 0
	for _, field := range fields[11:13] {
		number, err := strconv.Atoi(field)
		if err != nil {
			n.t.Fatalf("/proc/PID/stat: %s: %v", text, err)
		}
		ticks += number
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// startedWithin counts the programs that the daemon starts within a while.
func (n *node) startedWithin(window time.Duration) int {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), window)
	defer cancel()
	trace := exec.CommandContext(ctx, "strace", "--follow-forks", "--trace=execve,execveat", "--quiet=all", "--attach", strconv.Itoa(n.daemon.Process.Pid))
	trace.Cancel = func() error { return trace.Process.Signal(syscall.SIGINT) } // it lets the daemon go
	trace.WaitDelay = 10 * time.Second
	var calls bytes.Buffer
	trace.Stderr = &calls
	if err := trace.Run(); ctx.Err() == nil {
		n.t.Fatalf("strace: %v\n%s", err, calls.Bytes())
	}
	return strings.Count(calls.String(), "execve")
}
