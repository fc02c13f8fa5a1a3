package docker

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/system"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestSeccompProfile(t *testing.T) {
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "good.json"), filepath.Join(dir, "bad.json")
	for file, content := range map[string]string{good: "{\n \"defaultAction\": \"SCMP_ACT_ALLOW\"\n}", bad: "{"} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	profile := func(file string) Security {
		return Security{Seccomp: Profile{Kind: LocalhostProfile, Localhost: file}}
	}
	got, err := profile(good).options()
	if diff := cmp.Diff([]string{`seccomp={"defaultAction":"SCMP_ACT_ALLOW"}`}, got); diff != "" || err != nil {
		t.Errorf("error %v, %s", err, diff)
	}
	for _, file := range []string{bad, filepath.Join(dir, "absent.json")} {
		if _, err := profile(file).options(); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: error %v", file, err)
		}
	}
}

func TestPrivilegedIsNotConfined(t *testing.T) {
	s := Security{
		Privileged: true, AppArmor: Profile{Kind: LocalhostProfile, Localhost: "tight"},
		MaskedPaths: []string{"/proc/kcore"}, ReadonlyPaths: []string{"/proc/sys"},
	}
	var host container.HostConfig
	if err := s.apply(&host); err != nil {
		t.Fatal(err)
	}
	if len(host.SecurityOpt)+len(host.MaskedPaths)+len(host.ReadonlyPaths) != 0 || !host.Privileged {
		t.Errorf("%+v", host)
	}
}

func TestSwap(t *testing.T) {
	e := &Engine{}
	for _, test := range []struct {
		accounted bool
		r         Resources
		want      int64
	}{
		{true, Resources{Memory: 10}, 10},
		{true, Resources{Memory: 10, MemorySwap: 30}, 30},
		{true, Resources{Memory: 10, MemorySwap: -1}, -1},
		{true, Resources{CPUShares: 10}, 0},
		{false, Resources{Memory: 10, MemorySwap: 30}, 0},
	} {
		e.info.Store(&Info{SwapLimit: test.accounted})
		if got := e.limits(test.r).MemorySwap; got != test.want {
			t.Errorf("%+v with swap accounting %t: %d, want %d", test.r, test.accounted, got, test.want)
		}
	}
}

// A mount is read back as it was asked for, with the propagation in force.
func TestMountsReadBack(t *testing.T) {
	source := t.TempDir()
	want := []MountPoint{
		{ContainerPath: "/relabelled", HostPath: source, ReadOnly: true, Propagation: PropagationToContainer, RelabelSELinux: true},
		{ContainerPath: "/plain", HostPath: source, Propagation: PropagationPrivate},
		{ContainerPath: "/rro", HostPath: source, ReadOnly: true, RecursiveReadOnly: true, Propagation: PropagationPrivate},
		{ContainerPath: "/image", Image: "busybox", ImageSubpath: "bin", ReadOnly: true},
	}
	fake := newFake()
	fake.info.SecurityOptions = []string{"name=selinux"}
	e := fake.mustConnect(t)
	var host container.HostConfig
	if err := e.addMounts(&host, want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{source + ":/relabelled:Z,ro,rslave"}, host.Binds); diff != "" {
		t.Error(diff)
	}
	got := mountPointsFrom(container.InspectResponse{
		ContainerJSONBase: &container.ContainerJSONBase{HostConfig: &host},
		Mounts: []container.MountPoint{
			{Type: mount.TypeBind, Source: source, Destination: "/relabelled", Propagation: "rslave"},
			{Type: mount.TypeBind, Source: source, Destination: "/plain", RW: true, Propagation: "rprivate"},
			{Type: mount.TypeBind, Source: source, Destination: "/rro", Propagation: "rprivate"},
			{Type: mount.TypeVolume, Source: "/var/lib/docker/volumes/x", Destination: "/volume", RW: true},
		},
	})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestMountsThatCannotBe(t *testing.T) {
	selinux := SecurityFacilities{SELinux: true}
	for name, test := range map[string]struct {
		point    MountPoint
		security SecurityFacilities
	}{
		"image":            {MountPoint{Image: "x"}, SecurityFacilities{}},
		"recursive":        {MountPoint{HostPath: "/", RecursiveReadOnly: true}, SecurityFacilities{}},
		"relabelled colon": {MountPoint{HostPath: "/a:b", RelabelSELinux: true}, selinux},
		"relabelled rro":   {MountPoint{HostPath: "/", RelabelSELinux: true, RecursiveReadOnly: true}, selinux},
	} {
		fake := newFake()
		fake.api = "1.41"
		e := fake.mustConnect(t)
		e.info.Store(&Info{Security: test.security})
		if err := e.addMounts(&container.HostConfig{}, []MountPoint{test.point}); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestInfoFrom(t *testing.T) {
	got := infoFrom(system.Info{
		CgroupDriver: "systemd", CgroupVersion: "2", Driver: "overlay2", DockerRootDir: "/d", NCPU: 2,
		SecurityOptions: []string{"name=seccomp,profile=default", "name=apparmor", "name=rootless", "name=cgroupns", "name=other"},
		Runtimes: map[string]system.RuntimeWithStatus{
			"runc":  {Status: map[string]string{"org.opencontainers.runtime-spec.features": `{"mountOptions":["ro","rro"]}`}},
			"crun":  {Status: map[string]string{"org.opencontainers.runtime-spec.features": `not JSON`}},
			"kata2": {},
		},
	})
	want := Info{
		CgroupDriver: "systemd", CgroupVersion: 2, StorageDriver: "overlay2", DataRoot: "/d", CPUs: 2,
		Runtimes: []Runtime{{Name: "crun"}, {Name: "kata2"}, {Name: "runc", RecursiveReadOnly: true}},
		Security: SecurityFacilities{AppArmor: true, Seccomp: true, Rootless: true, PrivateCgroupNS: true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestFeatures(t *testing.T) {
	cdi := Info{CDISpecDirs: []string{"/etc/cdi"}}
	for api, want := range map[string]Features{
		"1.41": {CDI: true},
		"1.43": {CDI: true, Annotations: true},
		"1.44": {CDI: true, Annotations: true, RecursiveReadOnly: true},
		"1.48": {CDI: true, Annotations: true, RecursiveReadOnly: true, ImageMounts: true, ImageSubpath: true},
	} {
		if got := featuresOf(api, cdi); got != want {
			t.Errorf("API %s: %+v, want %+v", api, got, want)
		}
	}
	if featuresOf("1.51", Info{}).CDI {
		t.Error("CDI without a directory")
	}
}

func TestNames(t *testing.T) {
	names := []string{"busybox:1", "<none>:<none>", "host:5000/a/b:2", "busybox@sha256:" + strings.Repeat("0", 64), "<none>@sha256:" + strings.Repeat("0", 64)}
	if diff := cmp.Diff([]string{"docker.io/library/busybox:1", "host:5000/a/b:2"}, tagsFrom(names)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"docker.io/library/busybox@sha256:" + strings.Repeat("0", 64)}, digestsFrom(names)); diff != "" {
		t.Error(diff)
	}
	digest := "@sha256:" + strings.Repeat("0", 64)
	for ref, want := range map[string]string{
		"busybox:1":              "busybox:1",
		"host:5000/a:1" + digest: "host:5000/a" + digest,
		"host:5000/a" + digest:   "host:5000/a" + digest,
		"sha256:0123":            "sha256:0123",
		"Not A Name":             "Not A Name",
	} {
		if got := storeName(ref); got != want {
			t.Errorf("%s is stored as %s, want %s", ref, got, want)
		}
	}
}

func TestEndpointsFrom(t *testing.T) {
	got := endpointsFrom(map[string]*network.EndpointSettings{
		"bridge": {IPAddress: "172.17.0.2", IPPrefixLen: 16, Gateway: "172.17.0.1", GlobalIPv6Address: "fd00::2", GlobalIPv6PrefixLen: 64},
		"none":   {},
	})
	want := []Endpoint{
		{Network: "bridge", Gateway: netip.MustParseAddr("172.17.0.1"),
			Addresses: []netip.Prefix{netip.MustParsePrefix("172.17.0.2/16"), netip.MustParsePrefix("fd00::2/64")}},
		{Network: "none"},
	}
	byName := cmpopts.SortSlices(func(a, b Endpoint) bool { return a.Network < b.Network })
	comparable := cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })
	addresses := cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
	if diff := cmp.Diff(want, got, byName, comparable, addresses); diff != "" {
		t.Error(diff)
	}
}

func TestEventFrom(t *testing.T) {
	at := time.Unix(5, 7)
	actor := events.Actor{ID: "x", Attributes: map[string]string{"exitCode": "137", "app": "web", "imageID": "x"}}
	for _, test := range []struct {
		kind   events.Type
		action events.Action
		want   Action // "": unknown
		code   int
	}{
		{"container", "die", ActionDie, 137},
		{"container", "start", ActionStart, 0},
		{"container", "exec_start: sh", "", 0},
		{"container", "health_status: healthy", "", 0},
		{"image", "untag", ActionImage, 0},
		{"container", "commit", ActionImage, 0},
	} {
		got, known := eventFrom(events.Message{Type: test.kind, Action: test.action, Actor: actor, TimeNano: at.UnixNano()})
		if known != (test.want != "") {
			t.Errorf("%s is known: %t", test.action, known)
		}
		want := Event{Action: test.want, ID: "x", Labels: actor.Attributes, Time: at, ExitCode: test.code}
		if diff := cmp.Diff(want, got); known && diff != "" {
			t.Errorf("%s: %s", test.action, diff)
		}
	}
}

func TestNetNSOfAStoppedContainer(t *testing.T) {
	_, err := Container{ID: "x", State: Exited}.NetNS()
	if !errors.Is(err, ErrNotRunning) || !strings.Contains(err.Error(), "exited") {
		t.Errorf("error %v", err)
	}
}

func TestSumLayers(t *testing.T) {
	store := t.TempDir()
	for layer, size := range map[string]string{"a": "100", "b": "23\n"} {
		if err := os.MkdirAll(filepath.Join(store, layer), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(store, layer, "size"), []byte(size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(store, "being-removed"), 0o700); err != nil {
		t.Fatal(err)
	}
	if got, err := sumLayers(store); err != nil || got != 123 {
		t.Errorf("%d, error %v, want 123", got, err)
	}
}
