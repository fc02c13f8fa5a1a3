//go:build e2e && linux

package docker

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pod runs a sandbox and returns a spec for a container in it that sleeps.
func pod(t *testing.T, e *Engine, spec SandboxSpec) (Container, ContainerSpec) {
	t.Helper()
	s := mustRun(t, e, spec)
	return s, ContainerSpec{
		Name:       uniqueName(t),
		Labels:     map[string]string{e2eLabel: t.Name()},
		Image:      importBusybox(t, e),
		Command:    []string{"sleep", "1000"},
		Namespaces: Namespaces{Network: Of(s.ID), IPC: Of(s.ID)},
		Log:        Log{Driver: "json-file"},
	}
}

func mustRunContainer(t *testing.T, e *Engine, spec ContainerSpec) Container {
	t.Helper()
	id, err := e.CreateContainer(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	c, err := e.Inspect(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// run runs a command in a container to its end.
func run(t *testing.T, e *Engine, id string, args ...string) (output string, exitCode int) {
	t.Helper()
	p, err := e.Exec(t.Context(), id, Command{Args: args, Streams: Streams{Stdout: true, Stderr: true}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	var out bytes.Buffer
	if err := p.Output(&out, &out); err != nil {
		t.Fatal(err)
	}
	return out.String(), awaitExit(t, p)
}

func awaitExit(t *testing.T, p *Process) int {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		state, err := p.State(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !state.Running {
			return state.ExitCode
		}
		if time.Now().After(deadline) {
			t.Fatal("the command still runs after 10 s")
		}
	}
}

// In a pod that shares its PID namespace the pause program is process 1: it
// reaps what others leave, needs next to no memory, and ends at once.
func TestE2EPauseIsAnInit(t *testing.T) {
	e := connect(t)
	s, spec := pod(t, e, sandbox(t))
	spec.Namespaces.PID = Of(s.ID)
	c := mustRunContainer(t, e, spec)
	// Each inner shell starts children and ends before them: orphans.
	if output, code := run(t, e, c.ID, "sh", "-c", "for i in 1 2 3 4 5 6 7 8; do sh -c 'sleep 1 & sleep 1.1 &' >/dev/null 2>&1; done"); code != 0 {
		t.Fatalf("exit code %d: %s", code, output)
	}
	before, _ := run(t, e, c.ID, "ps", "-o", "pid,ppid,stat,args")
	time.Sleep(2 * time.Second)
	after, _ := run(t, e, c.ID, "ps", "-o", "pid,ppid,stat,args")
	if !strings.Contains(before, "S    /pause") || !strings.Contains(before, "1 S    sleep 1.1") {
		t.Errorf("no orphans to see: %s", before)
	}
	if strings.Contains(after, "sleep]") || strings.Contains(after, "sleep 1.1") || strings.Contains(after, "Z") {
		t.Errorf("left over: %s", after)
	}
	memory, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.PID))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(memory)) {
		var kB int
		if n, _ := fmt.Sscanf(line, "VmRSS: %d kB", &kB); n == 1 {
			t.Logf("the pause program is resident with %d kB", kB)
			if kB > 64 {
				t.Errorf("resident memory %d kB", kB)
			}
		}
	}
	if err := e.Kill(t.Context(), s.ID, "TERM"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if code, err := e.Wait(ctx, s.ID); err != nil || code != 0 {
		t.Errorf("after SIGTERM: exit code %d, error %v", code, err)
	}
}

// What a spec asks for is what the process in the container sees.
func TestE2EContainerSeesItsSpec(t *testing.T) {
	e := connect(t)
	source := sharedMount(t)
	missing := filepath.Join(source, "made", "on demand")
	s, spec := pod(t, e, sandbox(t))
	spec.Command, spec.Args = []string{"sh", "-c"}, []string{"echo out; echo err >&2; exec sleep 1000"}
	spec.Env = []string{"A=b c"}
	spec.WorkingDir = "/tmp/work"
	spec.StopSignal = "SIGKILL"
	spec.Security = Security{
		User: "1000:1000", SupplementalGroups: []int64{1234}, ReadOnlyRootfs: true, NoNewPrivileges: true,
		DropCapabilities: []string{"ALL"}, AddCapabilities: []string{"NET_RAW"},
		Seccomp: Profile{Kind: UnconfinedProfile}, MaskedPaths: []string{}, ReadonlyPaths: []string{"/proc/sys"},
	}
	spec.Resources = Resources{CPUShares: 512, CPUPeriod: 100_000, CPUQuota: 50_000, CpusetCPUs: "0",
		Memory: 64 << 20, OOMScoreAdj: 500}
	spec.Mounts = []MountPoint{
		{ContainerPath: "/ro", HostPath: source, ReadOnly: true},
		{ContainerPath: "/slave", HostPath: missing, Propagation: PropagationToContainer},
	}
	spec.Devices = []Device{{HostPath: "/dev/null", ContainerPath: "/dev/mine", Permissions: "r"}}
	c := mustRunContainer(t, e, spec)

	output, code := run(t, e, c.ID, "sh", "-c",
		"id; echo $A; head -n 1 /proc/1/oom_score_adj; grep -E 'NoNewPrivs|CapEff|Seccomp:' /proc/1/status; "+
			"touch /x; touch /ro/x; touch /slave/x; ls -l /dev/mine; hostname; grep ' /ro \\| /slave ' /proc/self/mountinfo")
	for _, want := range []string{
		"uid=1000(user) gid=1000(user) groups=1000(user),1234", "b c\n", "500\n", "NoNewPrivs:\t1", "CapEff:\t0000000000000000",
		"/x: Read-only file system", "/ro/x: Read-only file system", "test-pod", "master:",
	} {
		if !strings.Contains(output, want) {
			t.Errorf("%q is missing", want)
		}
	}
	t.Logf("exit code %d:\n%s", code, output)

	if c.Resources != spec.Resources.withSwap() || c.User != "1000:1000" || c.StopSignal != "SIGKILL" || !c.ReadOnlyRoot {
		t.Errorf("inspect: %+v", c)
	}
	if len(c.Mounts) != 2 || !c.Mounts[0].ReadOnly || c.Mounts[0].Propagation != PropagationPrivate ||
		c.Mounts[1].Propagation != PropagationToContainer || c.Mounts[1].HostPath != missing {
		t.Errorf("mounts: %+v", c.Mounts)
	}
	if c.Namespaces.Network != Of(s.ID) || c.ImageID == "" || c.LogPath == "" {
		t.Errorf("inspect: %+v", c)
	}
	if err := e.Update(t.Context(), c.ID, Resources{Memory: 32 << 20, CPUShares: 256}); err != nil {
		t.Fatal(err)
	}
	if c, _ = e.Inspect(t.Context(), c.ID); c.Resources.Memory != 32<<20 || c.Resources.CPUShares != 256 || c.Resources.CPUQuota != 50_000 {
		t.Errorf("after the update: %+v", c.Resources)
	}
}

// sharedMount is a directory whose mounts propagate, seen by the engine too.
func sharedMount(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, err := range []error{
		unix.Mount("tmpfs", dir, "tmpfs", 0, ""),
		unix.Mount("", dir, "", unix.MS_SHARED, ""),
	} {
		if err != nil {
			t.Fatalf("mount a shared tmpfs for the test: %v", err)
		}
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// withSwap is r as the engine reports it.
func (r Resources) withSwap() Resources {
	r.MemorySwap = r.Memory
	return r
}

// What this engine cannot do is refused, not dropped.
func TestE2EUnsupportedIsRefused(t *testing.T) {
	e := connect(t)
	_, spec := pod(t, e, sandbox(t))
	refused := func(what string, supported bool, change func(*ContainerSpec)) {
		changed := spec
		changed.Name = uniqueName(t)
		change(&changed)
		_, err := e.CreateContainer(t.Context(), changed)
		if supported != (err == nil) {
			t.Errorf("%s: supported is %t, error %v", what, supported, err)
		}
		if err != nil {
			wantError(t, what, err, ErrUnsupported)
		}
	}
	features := e.Features()
	refused("image mount", features.ImageMounts, func(s *ContainerSpec) {
		s.Mounts = []MountPoint{{ContainerPath: "/image", Image: s.Image}}
	})
	refused("recursive read-only", features.RecursiveReadOnly, func(s *ContainerSpec) {
		s.Mounts = []MountPoint{{ContainerPath: "/ro", HostPath: t.TempDir(), RecursiveReadOnly: true}}
	})
	if !features.CDI {
		refused("CDI", false, func(s *ContainerSpec) { s.CDIDevices = []string{"vendor.com/class=one"} })
	}
	spec.Image = "mascri-test/absent:1"
	_, err := e.CreateContainer(t.Context(), spec)
	wantError(t, "missing image", err, ErrNotFound)
}

func TestE2EStartOfAMissingProgram(t *testing.T) {
	e := connect(t)
	_, spec := pod(t, e, sandbox(t))
	spec.Command = []string{"no-such-program"}
	id, err := e.CreateContainer(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	err = e.Start(t.Context(), id)
	wantError(t, "start", err, ErrInvalid)
	c, err := e.Inspect(t.Context(), id)
	if err != nil || c.State != Created || c.ExitCode != 127 || c.Error == "" {
		t.Errorf("after the failed start: %+v, error %v", c, err)
	}
}

func TestE2EExitCodeAndOOM(t *testing.T) {
	e := connect(t)
	_, spec := pod(t, e, sandbox(t))
	spec.Command = []string{"sh", "-c", "exit 7"}
	c := mustRunContainer(t, e, spec)
	if code, err := e.Wait(t.Context(), c.ID); err != nil || code != 7 {
		t.Errorf("exit code %d, error %v, want 7", code, err)
	}
	spec.Name, spec.Command = uniqueName(t), []string{"sh", "-c", "x=a; while true; do x=$x$x; done"}
	spec.Resources.Memory = 16 << 20
	c = mustRunContainer(t, e, spec)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	code, err := e.Wait(ctx, c.ID)
	if err != nil {
		t.Fatal(err)
	}
	// The engine hears of the end and of its reason on two ways.
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if c, err = e.Inspect(t.Context(), c.ID); err != nil || code != 137 {
			t.Fatalf("exit code %d, error %v, want 137", code, err)
		}
		if c.OOMKilled {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the engine does not say that the container ran out of memory")
		}
	}
}
