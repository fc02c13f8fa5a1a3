package cri

import (
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// FuzzPod: a request to run a pod, whatever is on the wire, passes the door or
// is an InvalidArgument that names a field.
func FuzzPod(f *testing.F) {
	seed(f, &runtimeapi.RunPodSandboxRequest{Config: validPod(), RuntimeHandler: "runc"})
	seed(f, &runtimeapi.RunPodSandboxRequest{Config: &runtimeapi.PodSandboxConfig{Metadata: &runtimeapi.PodSandboxMetadata{Name: "../x"}}})
	f.Fuzz(func(t *testing.T, wire []byte) {
		var r runtimeapi.RunPodSandboxRequest
		if proto.Unmarshal(wire, &r) != nil {
			return
		}
		if _, err := parsePod(&r); err != nil && codeOf(err) != codes.InvalidArgument {
			t.Errorf("%v has code %v", err, codeOf(err))
		}
	})
}

// FuzzContainer is the same for a request to create a container.
func FuzzContainer(f *testing.F) {
	seed(f, &runtimeapi.CreateContainerRequest{Config: &runtimeapi.ContainerConfig{
		Metadata: &runtimeapi.ContainerMetadata{Name: "app", Attempt: 1}, Image: &runtimeapi.ImageSpec{Image: "busybox"},
		Command: []string{"sh"}, Envs: []*runtimeapi.KeyValue{{Key: "A", Value: []byte("b")}}, LogPath: "app/0.log",
		Mounts:  []*runtimeapi.Mount{{ContainerPath: "/data", HostPath: "/var/data", Readonly: true}},
		Devices: []*runtimeapi.Device{{ContainerPath: "/dev/fuse", HostPath: "/dev/fuse", Permissions: "rwm"}},
		Linux:   &runtimeapi.LinuxContainerConfig{Resources: &runtimeapi.LinuxContainerResources{CpuQuota: 50000, MemoryLimitInBytes: 1 << 26}},
	}})
	f.Fuzz(func(t *testing.T, wire []byte) {
		var r runtimeapi.CreateContainerRequest
		if proto.Unmarshal(wire, &r) != nil {
			return
		}
		if _, err := parseContainer(&r); err != nil && codeOf(err) != codes.InvalidArgument && codeOf(err) != codes.Unimplemented {
			t.Errorf("%v has code %v", err, codeOf(err))
		}
	})
}

// seed adds a message as it is on the wire.
func seed(f *testing.F, m proto.Message) {
	f.Helper()
	wire, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(wire)
}
