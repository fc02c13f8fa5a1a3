package docker

import (
	"net/http"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// sandboxRequest is what the engine is asked for.
func sandboxRequest(t *testing.T, fake *fakeEngine, spec SandboxSpec) container.CreateRequest {
	t.Helper()
	var request container.CreateRequest
	fake.also["POST /containers/create"] = created(&request)
	if id, err := fake.mustConnect(t).CreateSandbox(t.Context(), spec); err != nil || id != "new" {
		t.Fatalf("ID %q, error %v", id, err)
	}
	return request
}

func TestSandboxRequest(t *testing.T) {
	got := sandboxRequest(t, newFake(), SandboxSpec{
		Name:         "pod",
		Labels:       map[string]string{"a": "b"},
		Annotations:  map[string]string{"c": "d"},
		Hostname:     "web",
		CgroupParent: "/kubepods/burstable/pod1",
		Sysctls:      map[string]string{"net.core.somaxconn": "1024"},
		Security: Security{
			User: "1:2", SupplementalGroups: []int64{3, 4}, ReadOnlyRootfs: true, NoNewPrivileges: true,
			Seccomp: Profile{Kind: UnconfinedProfile}, AppArmor: Profile{Kind: LocalhostProfile, Localhost: "tight"},
			SELinux: SELinuxLabel{User: "u", Role: "r", Type: "t", Level: "s0:c1,c2"},
		},
		RuntimeHandler: "runc",
		OOMScoreAdj:    10,
	})
	disabled := false
	want := container.CreateRequest{
		Config: &container.Config{
			Image: "mascri/pause:1", Hostname: "web", User: "1:2", Labels: map[string]string{"a": "b"},
			Healthcheck: &container.HealthConfig{Test: []string{"NONE"}},
		},
		HostConfig: &container.HostConfig{
			NetworkMode: "none", IpcMode: "shareable", Runtime: "runc", OomScoreAdj: 10, Init: &disabled,
			Annotations:    map[string]string{"c": "d"},
			LogConfig:      container.LogConfig{Type: "none"},
			RestartPolicy:  container.RestartPolicy{Name: "no"},
			Resources:      container.Resources{CgroupParent: "/kubepods/burstable/pod1"},
			Sysctls:        map[string]string{"net.core.somaxconn": "1024"},
			GroupAdd:       []string{"3", "4"},
			ReadonlyRootfs: true,
			SecurityOpt: []string{"no-new-privileges", "label=user:u", "label=role:r", "label=type:t",
				"label=level:s0:c1,c2", "apparmor=tight", "seccomp=unconfined"},
		},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestSandboxOnTheHostsNamespaces(t *testing.T) {
	got := sandboxRequest(t, newFake(), SandboxSpec{Name: "pod", Hostname: "web", Network: Host, PID: Host, IPC: Host})
	h := got.HostConfig
	if h.NetworkMode != "host" || h.PidMode != "host" || h.IpcMode != "host" || h.UTSMode != "host" || got.Hostname != "" {
		t.Errorf("hostname %q, %+v", got.Hostname, h)
	}
}

// The slice's name alone is what Docker takes with the systemd driver.
func TestCgroupParentOfSystemd(t *testing.T) {
	fake := newFake()
	fake.info.CgroupDriver = "systemd"
	got := sandboxRequest(t, fake, SandboxSpec{Name: "pod", CgroupParent: "/kubepods.slice/kubepods-pod1.slice"})
	if got.HostConfig.CgroupParent != "kubepods-pod1.slice" {
		t.Errorf("cgroup parent %q", got.HostConfig.CgroupParent)
	}
	if got = sandboxRequest(t, fake, SandboxSpec{Name: "pod"}); got.HostConfig.CgroupParent != "" {
		t.Errorf("cgroup parent %q without one asked for", got.HostConfig.CgroupParent)
	}
}

// The image is loaded only when the engine says that it is missing; when it is
// missing still, that is the error.
func TestSandboxWithoutImage(t *testing.T) {
	fake := newFake()
	requests := []string{}
	note := func(name string, then http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			requests = append(requests, name)
			then(w, r)
		}
	}
	fake.also["POST /containers/create"] = note("create", refuse(http.StatusNotFound, "No such image: mascri/pause:1"))
	fake.also["GET /images/mascri/pause:1/json"] = note("inspect", refuse(http.StatusNotFound, "No such image"))
	fake.also["POST /images/load"] = note("load", answer(map[string]string{"stream": "Loaded image"}))
	_, err := fake.mustConnect(t).CreateSandbox(t.Context(), SandboxSpec{Name: "pod"})
	if diff := cmp.Diff([]string{"create", "inspect", "load", "create"}, requests); diff != "" || err == nil {
		t.Errorf("error %v, requests %s", err, diff)
	}
}

func TestContainerRequest(t *testing.T) {
	fake := newFake()
	fake.info.CDISpecDirs = []string{"/etc/cdi"}
	var got container.CreateRequest
	fake.also["POST /containers/create"] = created(&got)
	source := t.TempDir()
	_, err := fake.mustConnect(t).CreateContainer(t.Context(), ContainerSpec{
		Name: "c", Image: "sha256:1", Command: []string{"/bin/a"}, Args: []string{"b"}, Env: []string{"K=v"},
		WorkingDir: "/w", Stdin: true, StdinOnce: true, Terminal: true, StopSignal: "SIGINT",
		Namespaces: Namespaces{Network: Of("s"), PID: Of("t"), IPC: Of("s")},
		Security: Security{Privileged: true, Seccomp: Profile{Kind: LocalhostProfile, Localhost: "/absent"},
			MaskedPaths: []string{"/proc/x"}},
		Resources:  Resources{CPUShares: 2, CPUPeriod: 3, CPUQuota: 4, CpusetCPUs: "0", CpusetMems: "1", Memory: 5, OOMScoreAdj: 6},
		Mounts:     []MountPoint{{ContainerPath: "/m", HostPath: source, RecursiveReadOnly: true}, {ContainerPath: "/i", Image: "img", ImageSubpath: "sub"}},
		Devices:    []Device{{HostPath: "/dev/a", ContainerPath: "/dev/b"}},
		CDIDevices: []string{"v/c=1"},
		Log:        Log{Driver: "json-file", Options: map[string]string{"max-file": "2"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	disabled := false
	want := container.CreateRequest{
		Config: &container.Config{
			Image: "sha256:1", Entrypoint: []string{"/bin/a"}, Cmd: []string{"b"}, Env: []string{"K=v"}, WorkingDir: "/w",
			OpenStdin: true, StdinOnce: true, Tty: true, StopSignal: "SIGINT",
			Healthcheck: &container.HealthConfig{Test: []string{"NONE"}},
		},
		HostConfig: &container.HostConfig{
			NetworkMode: "container:s", PidMode: "container:t", IpcMode: "container:s", Privileged: true, OomScoreAdj: 6,
			RestartPolicy: container.RestartPolicy{Name: "no"}, Init: &disabled,
			LogConfig: container.LogConfig{Type: "json-file", Config: map[string]string{"max-file": "2"}},
			Resources: container.Resources{
				CPUShares: 2, CPUPeriod: 3, CPUQuota: 4, CpusetCpus: "0", CpusetMems: "1", Memory: 5, MemorySwap: 5,
				Devices:        []container.DeviceMapping{{PathOnHost: "/dev/a", PathInContainer: "/dev/b", CgroupPermissions: "rwm"}},
				DeviceRequests: []container.DeviceRequest{{Driver: "cdi", DeviceIDs: []string{"v/c=1"}}},
			},
			Mounts: []mount.Mount{
				{Type: "bind", Source: source, Target: "/m", ReadOnly: true, BindOptions: &mount.BindOptions{ReadOnlyForceRecursive: true}},
				{Type: "image", Source: "img", Target: "/i", ReadOnly: true, ImageOptions: &mount.ImageOptions{Subpath: "sub"}},
			},
		},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
