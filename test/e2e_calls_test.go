//go:build e2e && linux

package test

import (
	"errors"
	"io"
	"slices"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// received reads a list that comes as a stream, to its end.
func received[Message, Item any](t *testing.T, items func(*Message) []Item) func(grpc.ServerStreamingClient[Message], error) []Item {
	return func(stream grpc.ServerStreamingClient[Message], err error) (all []Item) {
		t.Helper()
		for err == nil {
			var message *Message
			if message, err = stream.Recv(); err == nil {
				all = append(all, items(message)...)
			}
		}
		if !errors.Is(err, io.EOF) {
			t.Errorf("a streamed list ended with %v", err)
		}
		return all
	}
}

// A list that comes as a stream is the one that comes as a whole.
func TestStreamedLists(t *testing.T) {
	importImage(t)
	n, ctx := newNode(t), t.Context()
	pod := n.run(containerPod("lists", ""))
	id := n.runContainer(pod, shellContainer("idle", "sleep 300"))
	equal := func(what string, got, want proto.Message) {
		t.Helper()
		if !proto.Equal(got, want) {
			t.Errorf("%s:\n%v\nwant\n%v", what, got, want)
		}
	}
	sandboxes, err := n.ListPodSandbox(ctx, &runtimeapi.ListPodSandboxRequest{})
	if err != nil || len(sandboxes.GetItems()) != 1 {
		t.Fatalf("ListPodSandbox: %v, %v", sandboxes, err)
	}
	equal("StreamPodSandboxes", &runtimeapi.ListPodSandboxResponse{
		Items: received(t, (*runtimeapi.StreamPodSandboxesResponse).GetPodSandboxes)(n.StreamPodSandboxes(ctx, &runtimeapi.StreamPodSandboxesRequest{}))}, sandboxes)
	containers, err := n.ListContainers(ctx, &runtimeapi.ListContainersRequest{})
	if err != nil || len(containers.GetContainers()) != 1 {
		t.Fatalf("ListContainers: %v, %v", containers, err)
	}
	equal("StreamContainers", &runtimeapi.ListContainersResponse{
		Containers: received(t, (*runtimeapi.StreamContainersResponse).GetContainers)(n.StreamContainers(ctx, &runtimeapi.StreamContainersRequest{}))}, containers)
	images := n.images()
	all, err := images.ListImages(ctx, &runtimeapi.ListImagesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	equal("StreamImages", &runtimeapi.ListImagesResponse{
		Images: received(t, (*runtimeapi.StreamImagesResponse).GetImages)(images.StreamImages(ctx, &runtimeapi.StreamImagesRequest{}))}, all)

	// Figures change from one call to the next.
	measured := received(t, (*runtimeapi.StreamContainerStatsResponse).GetContainerStats)(n.StreamContainerStats(ctx, &runtimeapi.StreamContainerStatsRequest{}))
	if len(measured) != 1 || measured[0].GetAttributes().GetId() != id || measured[0].GetMemory().GetWorkingSetBytes().GetValue() == 0 {
		t.Errorf("StreamContainerStats: %v", measured)
	}
	pods := received(t, (*runtimeapi.StreamPodSandboxStatsResponse).GetPodSandboxStats)(n.StreamPodSandboxStats(ctx, &runtimeapi.StreamPodSandboxStatsRequest{}))
	one, err := n.PodSandboxStats(ctx, &runtimeapi.PodSandboxStatsRequest{PodSandboxId: pod})
	if err != nil || len(pods) != 1 {
		t.Fatalf("PodSandboxStats: %v, StreamPodSandboxStats: %v", err, pods)
	}
	for _, stats := range []*runtimeapi.PodSandboxStats{pods[0], one.GetStats()} {
		if stats.GetAttributes().GetMetadata().GetName() != "lists" || len(stats.GetLinux().GetContainers()) != 1 ||
			stats.GetLinux().GetNetwork().GetDefaultInterface().GetRxBytes() == nil {
			t.Errorf("pod stats: %v", stats)
		}
	}
}

// Each metric of a pod is one that was announced, with a value for each label.
func TestPodMetrics(t *testing.T) {
	importImage(t)
	n, ctx := newNode(t), t.Context()
	pod := n.run(containerPod("metrics", ""))
	n.runContainer(pod, shellContainer("idle", "sleep 300"))
	announced, err := n.ListMetricDescriptors(ctx, &runtimeapi.ListMetricDescriptorsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	labels := map[string]int{}
	for _, d := range announced.GetDescriptors() {
		labels[d.GetName()] = len(d.GetLabelKeys())
	}
	list, err := n.ListPodSandboxMetrics(ctx, &runtimeapi.ListPodSandboxMetricsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	streamed := received(t, (*runtimeapi.StreamPodSandboxMetricsResponse).GetPodSandboxMetrics)(
		n.StreamPodSandboxMetrics(ctx, &runtimeapi.StreamPodSandboxMetricsRequest{}))
	for _, pods := range [][]*runtimeapi.PodSandboxMetrics{list.GetPodMetrics(), streamed} {
		if len(pods) != 1 || pods[0].GetPodSandboxId() != pod || len(pods[0].GetContainerMetrics()) != 1 {
			t.Fatalf("metrics of %v", pods)
		}
		metrics := slices.Concat(pods[0].GetMetrics(), pods[0].GetContainerMetrics()[0].GetMetrics())
		named := func(name string) func(*runtimeapi.Metric) bool {
			return func(m *runtimeapi.Metric) bool { return m.GetName() == name && m.GetValue().GetValue() > 0 }
		}
		for _, name := range []string{"container_start_time_seconds", "container_memory_working_set_bytes", "container_network_receive_bytes_total"} {
			if !slices.ContainsFunc(metrics, named(name)) {
				t.Errorf("no %s above 0", name)
			}
		}
		for _, m := range metrics {
			if want, known := labels[m.GetName()]; !known || len(m.GetLabelValues()) != want {
				t.Errorf("%s has %d labels; announced %v, with %d", m.GetName(), len(m.GetLabelValues()), known, want)
			}
		}
	}
}

// What is left of the calls: those that ask about the node, and those that no
// engine can answer, which leave the container as it is.
func TestFurtherCalls(t *testing.T) {
	importImage(t)
	n, ctx := newNode(t), t.Context()
	pod := n.run(containerPod("further", ""))
	id := n.runContainer(pod, shellContainer("idle", "sleep 300"))
	config, err := n.RuntimeConfig(ctx, &runtimeapi.RuntimeConfigRequest{})
	if want := output(t, ctx, "docker", "info", "--format", "{{.CgroupDriver}}"); err != nil ||
		(config.GetLinux().GetCgroupDriver() == runtimeapi.CgroupDriver_SYSTEMD) != (want == "systemd\n") {
		t.Errorf("RuntimeConfig: %v, %v; the engine has %s", config, err, want)
	}
	resources := &runtimeapi.LinuxContainerResources{CpuShares: 512}
	if _, err := n.UpdatePodSandboxResources(ctx, &runtimeapi.UpdatePodSandboxResourcesRequest{PodSandboxId: pod, Resources: resources}); err != nil {
		t.Errorf("UpdatePodSandboxResources: %v", err)
	}
	_, container := n.CheckpointContainer(ctx, &runtimeapi.CheckpointContainerRequest{ContainerId: id, Location: n.dir + "/c.tar"})
	_, checkpoint := n.CheckpointPod(ctx, &runtimeapi.CheckpointPodRequest{})
	_, restore := n.RestorePod(ctx, &runtimeapi.RestorePodRequest{})
	for _, err := range []error{container, checkpoint, restore} {
		if status.Code(err) != codes.Unimplemented || len(status.Convert(err).Message()) < 40 {
			t.Errorf("%v, want Unimplemented with a reason", err)
		}
	}
	if got := n.containerStatus(id).GetState(); got != runtimeapi.ContainerState_CONTAINER_RUNNING {
		t.Errorf("the container is %s", got)
	}
}
