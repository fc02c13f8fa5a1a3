//go:build linux

package cri

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mascri/mascri/cri/docker"
)

// Whichever step of CreateContainer fails, and also when only its answer got
// lost, nothing is left and the same container can be created afterwards.
func TestCreateContainerFailsAtEachStep(t *testing.T) {
	for _, call := range []string{"create container", "create container!"} {
		t.Run(call, func(t *testing.T) {
			b, engine := newContainerBench(t)
			pod := b.mustRun(goodPod("web"))
			b.engine.fail(call, errInjected)
			if _, err := b.create(pod, goodContainer("c")); err == nil || !strings.Contains(err.Error(), "create container c of pod ns/web") {
				t.Errorf("CreateContainer = %v", err)
			}
			if len(engine.containers) != 0 {
				t.Errorf("%d containers are left", len(engine.containers))
			}
			if _, err := b.create(pod, goodContainer("c")); err != nil {
				t.Error(err)
			}
			if _, err := b.create(pod, goodContainer("c")); status.Code(err) != codes.AlreadyExists {
				t.Errorf("the same container again: %v", err)
			}
		})
	}
}

// A container that cannot be given all it was to have does not go on running.
func TestStartIsUndone(t *testing.T) {
	b, engine := newContainerBench(t)
	pod, config := goodPod("web"), goodContainer("c")
	pod.LogDirectory, config.LogPath = t.TempDir(), "0.log"
	id, err := b.create(b.mustRun(pod), config)
	if err != nil {
		t.Fatal(err)
	}
	nowhere := func(c *docker.Container) { c.LogPath = "no-absolute-path" }
	if err := engine.set(id, nowhere); err != nil {
		t.Fatal(err)
	}
	if _, err := b.StartContainer(t.Context(), &runtimeapi.StartContainerRequest{ContainerId: id}); err == nil || !strings.Contains(err.Error(), "no-absolute-path") {
		t.Errorf("StartContainer = %v", err)
	}
	if c, _ := engine.get(id); c.State != docker.Exited {
		t.Errorf("the container is %s", c.State)
	}
}

func security(s *runtimeapi.LinuxContainerSecurityContext) *runtimeapi.LinuxContainerConfig {
	return &runtimeapi.LinuxContainerConfig{SecurityContext: s}
}

func mount(m *runtimeapi.Mount) []*runtimeapi.Mount { return []*runtimeapi.Mount{m} }

// Each refusal names the field and has its code.
func TestRefusedContainers(t *testing.T) {
	b, _ := newContainerBench(t)
	pod := b.mustRun(goodPod("web"))
	for field, test := range map[string]struct {
		code   codes.Code
		change func(*runtimeapi.ContainerConfig)
	}{
		"config.metadata.name":       {codes.InvalidArgument, func(c *runtimeapi.ContainerConfig) { c.Metadata.Name = "a_b" }},
		"config.image.image":         {codes.InvalidArgument, func(c *runtimeapi.ContainerConfig) { c.Image.Image = "" }},
		"config.image":               {codes.NotFound, func(c *runtimeapi.ContainerConfig) { c.Image.Image = "absent" }},
		"config.envs[0].key":         {codes.InvalidArgument, func(c *runtimeapi.ContainerConfig) { c.Envs = []*runtimeapi.KeyValue{{Key: "A=B"}} }},
		"config.log_path":            {codes.InvalidArgument, func(c *runtimeapi.ContainerConfig) { c.LogPath = "../x" }},
		"config.mounts[0].host_path": {codes.InvalidArgument, func(c *runtimeapi.ContainerConfig) { c.Mounts = mount(&runtimeapi.Mount{ContainerPath: "/a"}) }},
		"config.mounts[0].mount_options": {codes.Unimplemented, func(c *runtimeapi.ContainerConfig) {
			c.Mounts = mount(&runtimeapi.Mount{ContainerPath: "/a", HostPath: "/", MountOptions: []string{"noexec"}})
		}},
		"config.mounts[0].uid_mappings": {codes.Unimplemented, func(c *runtimeapi.ContainerConfig) {
			c.Mounts = mount(&runtimeapi.Mount{ContainerPath: "/a", HostPath: "/", UidMappings: []*runtimeapi.IDMapping{{}}})
		}},
		"config.envs[0].value": {codes.Unimplemented, func(c *runtimeapi.ContainerConfig) {
			c.Envs = []*runtimeapi.KeyValue{{Key: "SECRET", Value: []byte{'a', 0xff}}}
		}},
		"config.mounts[0].readonly": {codes.InvalidArgument, func(c *runtimeapi.ContainerConfig) {
			c.Mounts = mount(&runtimeapi.Mount{ContainerPath: "/a", Image: &runtimeapi.ImageSpec{Image: "busybox"}})
		}},
		"config.mounts[0].image": {codes.NotFound, func(c *runtimeapi.ContainerConfig) {
			c.Mounts = mount(&runtimeapi.Mount{ContainerPath: "/a", Image: &runtimeapi.ImageSpec{Image: "absent"}, Readonly: true})
		}},
		"recursive_read_only": {codes.InvalidArgument, func(c *runtimeapi.ContainerConfig) {
			c.Mounts = mount(&runtimeapi.Mount{ContainerPath: "/a", HostPath: "/", RecursiveReadOnly: true})
		}},
		"add_ambient_capabilities": {codes.Unimplemented, func(c *runtimeapi.ContainerConfig) {
			c.Linux = security(&runtimeapi.LinuxContainerSecurityContext{Capabilities: &runtimeapi.Capability{AddAmbientCapabilities: []string{"CHOWN"}}})
		}},
		"supplemental_groups_policy": {codes.InvalidArgument, func(c *runtimeapi.ContainerConfig) {
			c.Linux = security(&runtimeapi.LinuxContainerSecurityContext{SupplementalGroupsPolicy: 7})
		}},
		"run_as_group": {codes.InvalidArgument, func(c *runtimeapi.ContainerConfig) {
			c.Linux = security(&runtimeapi.LinuxContainerSecurityContext{RunAsGroup: &runtimeapi.Int64Value{}})
		}},
		"namespace_options.network": {codes.InvalidArgument, func(c *runtimeapi.ContainerConfig) {
			c.Linux = security(&runtimeapi.LinuxContainerSecurityContext{NamespaceOptions: &runtimeapi.NamespaceOption{Network: runtimeapi.NamespaceMode_NODE}})
		}},
		"namespace_options.target_id": {codes.InvalidArgument, func(c *runtimeapi.ContainerConfig) {
			c.Linux = security(&runtimeapi.LinuxContainerSecurityContext{NamespaceOptions: &runtimeapi.NamespaceOption{Pid: runtimeapi.NamespaceMode_TARGET, TargetId: "abc"}})
		}},
		"userns_options": {codes.Unimplemented, func(c *runtimeapi.ContainerConfig) {
			c.Linux = security(&runtimeapi.LinuxContainerSecurityContext{NamespaceOptions: &runtimeapi.NamespaceOption{UsernsOptions: &runtimeapi.UserNamespace{}}})
		}},
		"security_context.apparmor": {codes.Unimplemented, func(c *runtimeapi.ContainerConfig) {
			//lint:ignore SA1019 older kubelets set nothing else
			c.Linux = security(&runtimeapi.LinuxContainerSecurityContext{ApparmorProfile: "localhost/x"})
		}},
		"config.linux.resources.unified": {codes.Unimplemented, func(c *runtimeapi.ContainerConfig) {
			c.Linux = &runtimeapi.LinuxContainerConfig{Resources: &runtimeapi.LinuxContainerResources{Unified: map[string]string{"memory.high": "1"}}}
		}},
		"config.linux.resources.oom_score_adj": {codes.InvalidArgument, func(c *runtimeapi.ContainerConfig) {
			c.Linux = &runtimeapi.LinuxContainerConfig{Resources: &runtimeapi.LinuxContainerResources{OomScoreAdj: 1001}}
		}},
	} {
		t.Run(field, func(t *testing.T) {
			config := goodContainer("c")
			test.change(config)
			if _, err := b.create(pod, config); status.Code(err) != test.code || !strings.Contains(err.Error(), field) {
				t.Errorf("CreateContainer = %v, want %s about %s", err, test.code, field)
			}
		})
	}
}

// A privileged container is for a pod that says so, when it is made or later.
func TestPrivilegedContainer(t *testing.T) {
	b, engine := newContainerBench(t)
	privileged := func(name string) *runtimeapi.PodSandboxConfig {
		config := goodPod(name)
		config.Linux = &runtimeapi.LinuxPodSandboxConfig{SecurityContext: &runtimeapi.LinuxSandboxSecurityContext{Privileged: true}}
		return config
	}
	plain, ours := b.mustRun(goodPod("plain")), b.mustRun(privileged("ours"))
	for name, test := range map[string]struct {
		sandbox string
		again   *runtimeapi.PodSandboxConfig
		code    codes.Code
	}{
		"plain":            {plain, goodPod("plain"), codes.InvalidArgument},
		"plain-unsaid":     {plain, nil, codes.InvalidArgument},
		"privileged-since": {plain, privileged("plain"), codes.OK},
		"privileged":       {ours, privileged("ours"), codes.OK},
		"unsaid":           {ours, nil, codes.OK},
	} {
		config := goodContainer(name)
		config.Linux = &runtimeapi.LinuxContainerConfig{SecurityContext: &runtimeapi.LinuxContainerSecurityContext{Privileged: true}}
		_, err := b.CreateContainer(t.Context(), &runtimeapi.CreateContainerRequest{PodSandboxId: test.sandbox, Config: config, SandboxConfig: test.again})
		if status.Code(err) != test.code || err == nil && !engine.wanted.Security.Privileged {
			t.Errorf("%s: %v, want %s; the engine was asked for %+v", name, err, test.code, engine.wanted.Security)
		}
	}
}

// Limits that cannot be set are refused, not left out: when a container is
// created, and when they change.
func TestLimitsThatCannotBeSet(t *testing.T) {
	b, _ := newContainerBench(t)
	pod := b.mustRun(goodPod("web"))
	id, err := b.create(pod, goodContainer("created"))
	if err != nil {
		t.Fatal(err)
	}
	hugepages := &runtimeapi.LinuxContainerResources{HugepageLimits: []*runtimeapi.HugepageLimit{{PageSize: "2MB", Limit: 2 << 20}}}
	refuses := func(r *runtimeapi.LinuxContainerResources, code codes.Code, says string) {
		t.Helper()
		_, err := b.UpdateContainerResources(t.Context(), &runtimeapi.UpdateContainerResourcesRequest{ContainerId: id, Linux: r})
		if status.Code(err) != code || !strings.Contains(err.Error(), says) {
			t.Errorf("%v: %v, want %s and %q", r, err, code, says)
		}
	}
	refuses(&runtimeapi.LinuxContainerResources{Unified: map[string]string{"memory.high": "1"}}, codes.Unimplemented, "linux.unified")
	refuses(&runtimeapi.LinuxContainerResources{MemorySwapLimitInBytes: 1 << 20}, codes.Unimplemented, "linux.memory_swap_limit_in_bytes")
	refuses(hugepages, codes.FailedPrecondition, "not running")
	b.server.config.RemoteEngine = true
	refuses(hugepages, codes.Unimplemented, "another machine")
	config := goodContainer("remote")
	config.LogPath = ""
	config.Linux = &runtimeapi.LinuxContainerConfig{Resources: hugepages}
	if _, err := b.create(pod, config); status.Code(err) != codes.Unimplemented || !strings.Contains(err.Error(), "another machine") {
		t.Errorf("CreateContainer: %v", err)
	}
}

// What was asked for reaches the engine, and comes back in the status.
func TestContainerFields(t *testing.T) {
	b, engine := newContainerBench(t)
	pod := b.mustRun(goodPod("web"))
	config := goodContainer("c")
	config.StopSignal = runtimeapi.Signal_SIGNAL_SIGUSR1
	config.Mounts = []*runtimeapi.Mount{
		{ContainerPath: "/a", HostPath: "/b", Readonly: true, Propagation: runtimeapi.MountPropagation_PROPAGATION_BIDIRECTIONAL},
		{ContainerPath: "/i", Image: &runtimeapi.ImageSpec{Image: "busybox"}, Readonly: true},
	}
	config.Linux = &runtimeapi.LinuxContainerConfig{
		Resources: &runtimeapi.LinuxContainerResources{CpuShares: 5, MemoryLimitInBytes: 6, CpusetCpus: "0"},
		SecurityContext: &runtimeapi.LinuxContainerSecurityContext{
			RunAsUser: &runtimeapi.Int64Value{Value: 7}, RunAsGroup: &runtimeapi.Int64Value{Value: 8},
			SupplementalGroupsPolicy: runtimeapi.SupplementalGroupsPolicy_Strict,
			//lint:ignore SA1019 older kubelets set nothing else
			SeccompProfilePath: "unconfined",
			NamespaceOptions:   &runtimeapi.NamespaceOption{Pid: runtimeapi.NamespaceMode_CONTAINER},
		},
	}
	id, err := b.create(pod, config)
	if err != nil {
		t.Fatal(err)
	}
	wanted := engine.wanted
	if wanted.Security.User != "7:8" || wanted.Security.Seccomp.Kind != docker.UnconfinedProfile || wanted.StopSignal != "SIGUSR1" ||
		wanted.Namespaces.PID != docker.Private || wanted.Namespaces.Network != docker.Of(pod) || wanted.Security.MaskedPaths == nil {
		t.Errorf("the engine was asked for %+v", wanted)
	}
	answer, err := b.ContainerStatus(t.Context(), &runtimeapi.ContainerStatusRequest{ContainerId: id})
	if err != nil {
		t.Fatal(err)
	}
	got := answer.GetStatus()
	config.Mounts[1].Image.ImageRef = engine.image.ID // of what is mounted
	if diff := cmp.Diff(config.Mounts, got.GetMounts(), protocmp.Transform()); diff != "" {
		t.Errorf("mounts: %s", diff)
	}
	if diff := cmp.Diff(config.Linux.Resources, got.GetResources().GetLinux(), protocmp.Transform()); diff != "" {
		t.Errorf("resources: %s", diff)
	}
	if got.GetImageRef() != engine.image.Digests[0] || got.GetImageId() != engine.image.ID || got.GetStopSignal() != config.StopSignal {
		t.Errorf("status %v", got)
	}
}

// A container may have ended before its limits are written: it was started.
func TestStartOfAContainerThatEndsAtOnce(t *testing.T) {
	b, _ := newContainerBench(t)
	config := goodContainer("c")
	config.Linux = &runtimeapi.LinuxContainerConfig{Resources: &runtimeapi.LinuxContainerResources{
		HugepageLimits: []*runtimeapi.HugepageLimit{{PageSize: "2MB"}}}}
	id, err := b.create(b.mustRun(goodPod("web")), config)
	if err != nil {
		t.Fatal(err)
	}
	// The fake's container has no process.
	if _, err := b.StartContainer(t.Context(), &runtimeapi.StartContainerRequest{ContainerId: id}); err != nil {
		t.Error(err)
	}
}

// What the status tells of a container's process is of the engine's machine.
func TestStatusOfARemoteProcess(t *testing.T) {
	b, engine := newContainerBench(t)
	id, err := b.create(b.mustRun(goodPod("web")), goodContainer("c"))
	if err != nil {
		t.Fatal(err)
	}
	runs := func(c *docker.Container) { c.State, c.PID = docker.Running, os.Getpid() }
	if err := engine.set(id, runs); err != nil {
		t.Fatal(err)
	}
	for _, remote := range []bool{false, true} {
		b.server.config.RemoteEngine = remote
		answer, err := b.ContainerStatus(t.Context(), &runtimeapi.ContainerStatusRequest{ContainerId: id})
		if err != nil {
			t.Fatal(err)
		}
		if user := answer.GetStatus().GetUser(); (user == nil) != remote {
			t.Errorf("with a remote engine %v: the user is %v", remote, user)
		}
	}
}

// Stopping and removing what is not there is success, and filters select.
func TestStopRemoveAndList(t *testing.T) {
	b, _ := newContainerBench(t)
	pod := b.mustRun(goodPod("web"))
	var ids []string
	for _, name := range []string{"a", "b"} {
		id, err := b.create(pod, goodContainer(name))
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	if _, err := b.StartContainer(t.Context(), &runtimeapi.StartContainerRequest{ContainerId: ids[0]}); err != nil {
		t.Fatal(err)
	}
	for want, filter := range map[string]*runtimeapi.ContainerFilter{
		ids[0]: {State: &runtimeapi.ContainerStateValue{State: runtimeapi.ContainerState_CONTAINER_RUNNING}},
		ids[1]: {PodSandboxId: pod, LabelSelector: map[string]string{"app": "b"}},
	} {
		answer, err := b.ListContainers(t.Context(), &runtimeapi.ListContainersRequest{Filter: filter})
		if err != nil || len(answer.GetContainers()) != 1 || answer.GetContainers()[0].GetId() != want {
			t.Errorf("%v: %v, %v", filter, answer, err)
		}
	}
	for range 2 {
		for _, id := range append(ids, "nowhere") {
			if _, err := b.StopContainer(t.Context(), &runtimeapi.StopContainerRequest{ContainerId: id}); err != nil {
				t.Errorf("StopContainer: %v", err)
			}
			if _, err := b.RemoveContainer(t.Context(), &runtimeapi.RemoveContainerRequest{ContainerId: id}); err != nil {
				t.Errorf("RemoveContainer: %v", err)
			}
		}
	}
	if err := b.remove(pod); err != nil {
		t.Error(err)
	}
	if err := b.left(); err != nil {
		t.Error(err)
	}
}

// A kubelet names the image by its ID, and its user by a name. What is shown
// again is the user's.
func TestImageAsItsUserNamedIt(t *testing.T) {
	b, _ := newContainerBench(t)
	config := goodContainer("c")
	config.Image = &runtimeapi.ImageSpec{Image: "busybox", UserSpecifiedImage: "busybox:1"}
	id, err := b.create(b.mustRun(goodPod("web")), config)
	if err != nil {
		t.Fatal(err)
	}
	list, err := b.ListContainers(t.Context(), &runtimeapi.ListContainersRequest{})
	if err != nil || len(list.GetContainers()) != 1 {
		t.Fatalf("%v, %v", list, err)
	}
	for _, image := range []*runtimeapi.ImageSpec{b.status(id).GetImage(), list.GetContainers()[0].GetImage()} {
		if image.GetImage() != "busybox:1" || image.GetUserSpecifiedImage() != "busybox:1" {
			t.Errorf("%v", image)
		}
	}
}

// What the engine has is asked for once, however much of it is needed, and not at
// all where nothing of it is.
func TestFactsAreAskedForOnce(t *testing.T) {
	b, engine := newContainerBench(t)
	engine.info.SwapLimit, engine.info.Security.Seccomp = true, true
	pod := b.mustRun(goodPod("web"))
	demanding := goodContainer("demanding")
	demanding.Linux = &runtimeapi.LinuxContainerConfig{
		Resources: &runtimeapi.LinuxContainerResources{MemoryLimitInBytes: 1 << 20, MemorySwapLimitInBytes: 2 << 20},
		SecurityContext: &runtimeapi.LinuxContainerSecurityContext{
			Seccomp: &runtimeapi.SecurityProfile{ProfileType: runtimeapi.SecurityProfile_Localhost, LocalhostRef: "/p.json"},
		},
	}
	for _, config := range []*runtimeapi.ContainerConfig{goodContainer("plain"), demanding} {
		if _, err := b.create(pod, config); err != nil {
			t.Fatal(err)
		}
	}
	if asked := len(slices.DeleteFunc(slices.Clone(engine.calls), func(call string) bool { return call != "info" })); asked != 1 {
		t.Errorf("the engine's facts were asked for %d times, want once", asked)
	}
}
