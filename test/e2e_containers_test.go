//go:build e2e && linux

package test

import (
	"archive/tar"
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// testImage is an image with busybox as its only program.
const testImage = "docker.io/mascri-test/busybox:1"

// importImage makes testImage of the machine's own static busybox.
func importImage(t *testing.T) {
	t.Helper()
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		t.Fatalf("%v (install busybox-static)", err)
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, file := range []struct {
		name, content string
		mode          int64
	}{{"bin/busybox", string(busybox), 0o755}, {"etc/passwd", "root:x:0:0::/:/bin/sh\nweb:x:1000:1000::/:/bin/sh\n", 0o644},
		{"etc/group", "root:x:0:\nweb:x:1000:\nextra:x:50000:web\n", 0o644}} {
		if err := w.WriteHeader(&tar.Header{Name: file.name, Mode: file.mode, Size: int64(len(file.content))}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, file.content); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"sh", "echo", "sleep", "cat", "id", "wget", "httpd", "kill", "ps", "seq", "nc"} {
		if err := w.WriteHeader(&tar.Header{Name: "bin/" + name, Typeflag: tar.TypeSymlink, Linkname: "busybox", Mode: 0o777}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	run := exec.CommandContext(t.Context(), "docker", "import", "-", testImage)
	run.Stdin = &archive
	if out, err := run.CombinedOutput(); err != nil {
		t.Fatalf("docker import: %v\n%s", err, out)
	}
	t.Cleanup(func() {
		ctx, cancel := testContext()
		defer cancel()
		if id := strings.TrimSpace(output(t, ctx, "docker", "image", "ls", "--quiet", strings.TrimPrefix(testImage, "docker.io/"))); id != "" {
			output(t, ctx, "docker", "image", "rm", "--force", id)
		}
	})
}

// images is the node's image service.
func (n *node) images() runtimeapi.ImageServiceClient {
	n.t.Helper()
	connection, err := grpc.NewClient("unix://"+n.socket(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { _ = connection.Close() }) // nothing is buffered
	return runtimeapi.NewImageServiceClient(connection)
}

// containerPod is a pod that keeps its containers' logs in dir.
func containerPod(name, dir string) *runtimeapi.PodSandboxConfig {
	return podConfig(name, func(c *runtimeapi.PodSandboxConfig) { c.LogDirectory = dir })
}

// shellContainer runs a script.
func shellContainer(name, script string, changes ...func(*runtimeapi.ContainerConfig)) *runtimeapi.ContainerConfig {
	config := &runtimeapi.ContainerConfig{
		Metadata: &runtimeapi.ContainerMetadata{Name: name},
		Image:    &runtimeapi.ImageSpec{Image: testImage},
		Command:  []string{"/bin/sh", "-c", script},
		LogPath:  name + "/0.log",
		Linux:    &runtimeapi.LinuxContainerConfig{},
	}
	for _, change := range changes {
		change(config)
	}
	return config
}

func (n *node) createContainer(pod string, config *runtimeapi.ContainerConfig) string {
	n.t.Helper()
	answer, err := n.CreateContainer(n.t.Context(), &runtimeapi.CreateContainerRequest{PodSandboxId: pod, Config: config})
	if err != nil {
		n.t.Fatalf("CreateContainer: %v", err)
	}
	return answer.GetContainerId()
}

// runContainer creates and starts a container.
func (n *node) runContainer(pod string, config *runtimeapi.ContainerConfig) string {
	n.t.Helper()
	id := n.createContainer(pod, config)
	if _, err := n.StartContainer(n.t.Context(), &runtimeapi.StartContainerRequest{ContainerId: id}); err != nil {
		n.t.Fatalf("StartContainer: %v", err)
	}
	return id
}

func (n *node) containerStatus(id string) *runtimeapi.ContainerStatus {
	n.t.Helper()
	answer, err := n.ContainerStatus(n.t.Context(), &runtimeapi.ContainerStatusRequest{ContainerId: id})
	if err != nil {
		n.t.Fatalf("ContainerStatus: %v", err)
	}
	return answer.GetStatus()
}

// awaitExit waits for a container's end.
func (n *node) awaitExit(id string) *runtimeapi.ContainerStatus {
	n.t.Helper()
	var got *runtimeapi.ContainerStatus
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if got = n.containerStatus(id); got.GetState() == runtimeapi.ContainerState_CONTAINER_EXITED {
			return got
		}
	}
	n.t.Fatalf("container %s is %s after 20 s", id, got.GetState())
	return nil
}

// execSync runs a script in a container and returns its output.
func (n *node) execSync(id, script string) string {
	n.t.Helper()
	answer, err := n.ExecSync(n.t.Context(), &runtimeapi.ExecSyncRequest{ContainerId: id, Cmd: []string{"/bin/sh", "-c", script}, Timeout: 20})
	if err != nil || answer.GetExitCode() != 0 {
		n.t.Fatalf("ExecSync %q: %v, exit code %d, %s", script, err, answer.GetExitCode(), answer.GetStderr())
	}
	return strings.TrimSpace(string(answer.GetStdout()))
}

func TestContainerLifecycle(t *testing.T) {
	importImage(t)
	n := newNode(t)
	shared := t.TempDir()
	pod := n.run(containerPod("life", filepath.Join(n.dir, "pods")))
	config := shellContainer("web", "trap 'exit 3' TERM; echo up; while :; do sleep 0.1; done", func(c *runtimeapi.ContainerConfig) {
		c.Labels, c.Annotations = map[string]string{"app": "web"}, map[string]string{"note": "a=b"}
		c.Envs = []*runtimeapi.KeyValue{{Key: "WHO", Value: []byte("me = you")}}
		c.WorkingDir = "/etc"
		c.Mounts = []*runtimeapi.Mount{{ContainerPath: "/data", HostPath: shared, Readonly: true}}
		c.Linux.Resources = &runtimeapi.LinuxContainerResources{
			CpuShares: 512, CpuPeriod: 100000, CpuQuota: 50000, MemoryLimitInBytes: 64 << 20,
			HugepageLimits: []*runtimeapi.HugepageLimit{{PageSize: "2MB"}},
		}
		c.Linux.SecurityContext = &runtimeapi.LinuxContainerSecurityContext{
			RunAsUser: &runtimeapi.Int64Value{Value: 1000}, RunAsGroup: &runtimeapi.Int64Value{Value: 1000},
			SupplementalGroups: []int64{1234}, NoNewPrivs: true, ReadonlyRootfs: true,
			NamespaceOptions: &runtimeapi.NamespaceOption{Pid: runtimeapi.NamespaceMode_CONTAINER},
		}
	})
	id := n.createContainer(pod, config)
	if got := n.containerStatus(id); got.GetState() != runtimeapi.ContainerState_CONTAINER_CREATED || got.GetStartedAt() != 0 {
		t.Errorf("created: %v", got)
	}
	if _, err := n.CreateContainer(t.Context(), &runtimeapi.CreateContainerRequest{PodSandboxId: pod, Config: config}); status.Code(err) != codes.AlreadyExists {
		t.Errorf("the same container again: %v", err)
	}
	if _, err := n.StartContainer(t.Context(), &runtimeapi.StartContainerRequest{ContainerId: id}); err != nil {
		t.Fatal(err)
	}
	got := n.containerStatus(id)
	user := got.GetUser().GetLinux()
	if got.GetState() != runtimeapi.ContainerState_CONTAINER_RUNNING || got.GetStartedAt() == 0 || got.GetImage().GetImage() != testImage ||
		!strings.HasPrefix(got.GetImageId(), "sha256:") || len(got.GetMounts()) != 1 || !got.GetMounts()[0].GetReadonly() ||
		got.GetResources().GetLinux().GetMemoryLimitInBytes() != 64<<20 || user.GetUid() != 1000 || len(user.GetSupplementalGroups()) == 0 ||
		got.GetLabels()["app"] != "web" || got.GetAnnotations()["note"] != "a=b" {
		t.Errorf("running: %v", got)
	}
	if who := n.execSync(id, "echo $WHO; id -u; cd; pwd"); !strings.HasPrefix(who, "me = you\n1000\n") {
		t.Errorf("in the container: %q", who)
	}
	_, err := n.UpdateContainerResources(t.Context(), &runtimeapi.UpdateContainerResourcesRequest{
		ContainerId: id, Linux: &runtimeapi.LinuxContainerResources{CpuShares: 256}})
	if shares := n.containerStatus(id).GetResources().GetLinux().GetCpuShares(); err != nil || shares != 256 {
		t.Errorf("%d CPU shares after the update: %v", shares, err)
	}
	n.stopContainer(id)
	if got := n.awaitExit(id); got.GetExitCode() != 3 || got.GetReason() != "Error" || got.GetFinishedAt() < got.GetStartedAt() {
		t.Errorf("stopped: %v", got)
	}
	log, err := os.ReadFile(n.containerStatus(id).GetLogPath())
	if err != nil || !strings.HasSuffix(string(log), " stdout F up\n") {
		t.Errorf("log %q, %v", log, err)
	}
	if _, err := n.StartContainer(t.Context(), &runtimeapi.StartContainerRequest{ContainerId: id}); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("a second start: %v", err)
	}
	for range 2 {
		n.removeContainer(id)
		n.stopContainer(id)
	}
	if _, err := n.ContainerStatus(t.Context(), &runtimeapi.ContainerStatusRequest{ContainerId: id}); status.Code(err) != codes.NotFound {
		t.Errorf("status of a removed container: %v", err)
	}
}

func (n *node) stopContainer(id string) {
	n.t.Helper()
	if _, err := n.StopContainer(n.t.Context(), &runtimeapi.StopContainerRequest{ContainerId: id, Timeout: 10}); err != nil {
		n.t.Errorf("StopContainer: %v", err)
	}
}

func (n *node) removeContainer(id string) {
	n.t.Helper()
	if _, err := n.RemoveContainer(n.t.Context(), &runtimeapi.RemoveContainerRequest{ContainerId: id}); err != nil {
		n.t.Errorf("RemoveContainer: %v", err)
	}
}

// A container that ends by itself, one that the kernel kills for its memory and
// one whose program is not there say which they are.
func TestContainerEnds(t *testing.T) {
	importImage(t)
	n := newNode(t)
	pod := n.run(containerPod("ends", filepath.Join(n.dir, "pods")))
	if got := n.awaitExit(n.runContainer(pod, shellContainer("done", "echo bye"))); got.GetReason() != "Completed" {
		t.Errorf("%s", got.GetReason())
	}
	hungry := shellContainer("hungry", "x=a; while :; do x=$x$x; done", func(c *runtimeapi.ContainerConfig) {
		c.Linux.Resources = &runtimeapi.LinuxContainerResources{MemoryLimitInBytes: 16 << 20}
	})
	if got := n.awaitExit(n.runContainer(pod, hungry)); got.GetReason() != "OOMKilled" || got.GetExitCode() != 137 {
		t.Errorf("%v", got)
	}
	id := n.createContainer(pod, shellContainer("absent", "", func(c *runtimeapi.ContainerConfig) { c.Command = []string{"/bin/absent"} }))
	if _, err := n.StartContainer(t.Context(), &runtimeapi.StartContainerRequest{ContainerId: id}); err == nil {
		t.Error("a program that is not there was started")
	}
	if got := n.containerStatus(id); got.GetReason() != "StartError" || got.GetState() != runtimeapi.ContainerState_CONTAINER_EXITED {
		t.Errorf("%v", got)
	}
}

// The log has each line once, over a rotation and a killed daemon.
func TestContainerLogs(t *testing.T) {
	importImage(t)
	n := newNode(t)
	pod := n.run(containerPod("logs", filepath.Join(n.dir, "pods")))
	id := n.runContainer(pod, shellContainer("count", "for i in $(seq 1 200); do echo line $i; sleep 0.02; done"))
	path := n.containerStatus(id).GetLogPath()
	time.Sleep(500 * time.Millisecond)
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	if _, err := n.ReopenContainerLog(t.Context(), &runtimeapi.ReopenContainerLogRequest{ContainerId: id}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(500 * time.Millisecond)
	n.restart(syscall.SIGKILL)
	n.awaitExit(id)
	old, err := os.ReadFile(path + ".old")
	if err != nil {
		t.Fatal(err)
	}
	rest, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(old)+string(rest)), "\n")
	if len(lines) != 200 || len(old) == 0 || len(rest) == 0 || !strings.HasSuffix(lines[199], " stdout F line 200") {
		t.Errorf("%d lines in %d and %d bytes, the last %q", len(lines), len(old), len(rest), lines[len(lines)-1])
	}
}

// At its timeout a command is killed with what it started.
func TestExecTimeout(t *testing.T) {
	importImage(t)
	n := newNode(t)
	pod := n.run(containerPod("exec", ""))
	id := n.runContainer(pod, shellContainer("idle", "sleep 300"))
	_, err := n.ExecSync(t.Context(), &runtimeapi.ExecSyncRequest{ContainerId: id, Cmd: []string{"/bin/sh", "-c", "sleep 299 & sleep 299"}, Timeout: 1})
	if status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("ExecSync: %v", err)
	}
	if left := n.execSync(id, "ps"); strings.Contains(left, "sleep 299") {
		t.Errorf("processes after the timeout:\n%s", left)
	}
}

func TestImages(t *testing.T) {
	importImage(t)
	n := newNode(t)
	images := n.images()
	spec := &runtimeapi.ImageSpec{Image: testImage}
	found, err := images.ImageStatus(t.Context(), &runtimeapi.ImageStatusRequest{Image: spec})
	if err != nil || found.GetImage() == nil {
		t.Fatalf("ImageStatus: %v, %v", found, err)
	}
	list, err := images.ListImages(t.Context(), &runtimeapi.ListImagesRequest{})
	pinned, here := 0, false
	for _, image := range list.GetImages() {
		if image.GetPinned() {
			pinned++
		}
		here = here || slices.Contains(image.GetRepoTags(), testImage)
	}
	if err != nil || !here || pinned != 1 {
		t.Errorf("ListImages: %v, %v", list, err)
	}
	usage, err := images.ImageFsInfo(t.Context(), &runtimeapi.ImageFsInfoRequest{})
	if err != nil || usage.GetImageFilesystems()[0].GetUsedBytes().GetValue() == 0 {
		t.Errorf("ImageFsInfo: %v, %v", usage, err)
	}
	failed := make(chan error, 4)
	for range cap(failed) {
		go func() {
			_, err := images.RemoveImage(t.Context(), &runtimeapi.RemoveImageRequest{Image: spec})
			failed <- err
		}()
	}
	for range cap(failed) {
		if err := <-failed; err != nil {
			t.Errorf("RemoveImage: %v", err)
		}
	}
	if found, err := images.ImageStatus(t.Context(), &runtimeapi.ImageStatusRequest{Image: spec}); err != nil || found.GetImage() != nil {
		t.Errorf("ImageStatus of a removed image: %v, %v", found, err)
	}
}

// Events and statistics of a container in a pod on the network.
func TestEventsAndStats(t *testing.T) {
	importImage(t)
	n := newNode(t)
	pod := n.run(containerPod("stats", ""))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	events, err := n.GetContainerEvents(ctx, &runtimeapi.GetEventsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(200 * time.Millisecond) // the call has no answer before the first event
	id := n.runContainer(pod, shellContainer("busy", "while :; do :; done"))
	for _, want := range []runtimeapi.ContainerEventType{runtimeapi.ContainerEventType_CONTAINER_CREATED_EVENT, runtimeapi.ContainerEventType_CONTAINER_STARTED_EVENT} {
		event, err := events.Recv()
		if err != nil || event.GetContainerEventType() != want || event.GetContainerId() != id ||
			event.GetPodSandboxStatus().GetId() != pod || len(event.GetContainersStatuses()) != 1 {
			t.Fatalf("event %v, %v; want %s of %s", event, err, want, id)
		}
	}
	list, err := n.ListPodSandboxStats(t.Context(), &runtimeapi.ListPodSandboxStatsRequest{})
	if err != nil || len(list.GetStats()) != 1 {
		t.Fatalf("ListPodSandboxStats: %v, %v", list, err)
	}
	linux := list.GetStats()[0].GetLinux()
	if linux.GetNetwork().GetDefaultInterface().GetName() != "eth0" || len(linux.GetContainers()) != 1 {
		t.Errorf("pod stats %v", linux)
	}
	one, err := n.ContainerStats(t.Context(), &runtimeapi.ContainerStatsRequest{ContainerId: id})
	if s := one.GetStats(); err != nil || s.GetCpu().GetUsageCoreNanoSeconds().GetValue() == 0 ||
		s.GetMemory().GetWorkingSetBytes().GetValue() == 0 || s.GetWritableLayer() == nil || s.GetAttributes().GetMetadata().GetName() != "busy" {
		t.Errorf("ContainerStats: %v, %v", one, err)
	}
}
