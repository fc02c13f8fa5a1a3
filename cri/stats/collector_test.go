package stats

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// The trees in testdata hold one pod: a sandbox and a container. What they say
// is the same in the three layouts, but for limits, which v1 has none of.
var (
	container = Target{ID: strings.Repeat("a", 64), PID: 42}
	sandbox   = Target{ID: strings.Repeat("b", 64), PID: 41}
	noon      = time.Unix(1_700_000_000, 0)
)

func open(t *testing.T, tree string) *Collector {
	t.Helper()
	c, err := New("testdata/" + tree)
	if err != nil {
		t.Fatal(err)
	}
	c.now = func() time.Time { return noon }
	return c
}

func pressure() *cri.PsiStats {
	return &cri.PsiStats{
		Some: &cri.PsiData{Avg10: 1.5, Avg60: 0.25, Avg300: 0.05, Total: 15_269_000},
		Full: &cri.PsiData{Avg10: 0.5, Avg60: 0.1, Avg300: 0.01, Total: 7_650_000},
	}
}

// fullStats is what hybrid and v2 say of the container.
func fullStats(cpu uint64) *cri.ContainerStats {
	at := noon.UnixNano()
	return &cri.ContainerStats{
		Attributes: &cri.ContainerAttributes{Id: container.ID},
		Cpu:        &cri.CpuUsage{Timestamp: at, UsageCoreNanoSeconds: value(cpu), Psi: pressure()},
		Memory: &cri.MemoryUsage{
			Timestamp:       at,
			UsageBytes:      value(1_400_832),
			WorkingSetBytes: value(1_400_832 - 147_456),
			AvailableBytes:  value(67_108_864 - (1_400_832 - 147_456)),
			RssBytes:        value(118_784),
			PageFaults:      value(1096),
			MajorPageFaults: value(2),
			Psi:             pressure(),
		},
		Swap: &cri.SwapUsage{Timestamp: at, SwapUsageBytes: value(4096), SwapAvailableBytes: value(32<<20 - 4096)},
		Io:   &cri.IoUsage{Timestamp: at, Psi: pressure()},
	}
}

func TestContainerStats(t *testing.T) {
	v1 := fullStats(45_894_394)
	v1.Cpu.Psi, v1.Memory.Psi, v1.Io = nil, nil, nil
	v1.Memory.AvailableBytes, v1.Swap.SwapAvailableBytes = nil, nil
	for tree, want := range map[string]*cri.ContainerStats{
		"hybrid": fullStats(45_894_394), "v1": v1, "v2": fullStats(45_894_000),
	} {
		got, err := open(t, tree).Container(container)
		if err != nil {
			t.Errorf("%s: %v", tree, err)
			continue
		}
		if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", tree, diff)
		}
	}
}

func TestPodStats(t *testing.T) {
	for tree, want := range map[string]struct{ cpu, memory, available uint64 }{
		"hybrid": {60_000_000, 5_000_000, 67_108_864 - (5_000_000 - 147_456)},
		"v2":     {60_000_000, 5_000_000, 0},
		// No control group of its own: sandbox and container together.
		"v1": {45_894_394 + 1_000_000, 1_400_832 + 200_000, 0},
	} {
		p := Pod{Sandbox: sandbox, Containers: []Target{container}, OwnCgroup: tree != "v1"}
		got, err := open(t, tree).Pod(p)
		if err != nil {
			t.Errorf("%s: %v", tree, err)
			continue
		}
		cpu, memory := got.GetCpu().GetUsageCoreNanoSeconds().GetValue(), got.GetMemory().GetUsageBytes().GetValue()
		if available := got.GetMemory().GetAvailableBytes().GetValue(); cpu != want.cpu || memory != want.memory || available != want.available {
			t.Errorf("%s: cpu %d, memory %d, available %d, want %+v", tree, cpu, memory, available, want)
		}
		if n := got.GetProcess().GetProcessCount().GetValue(); n != 2 {
			t.Errorf("%s: %d processes, want 2", tree, n)
		}
		if len(got.GetContainers()) != 1 || got.GetContainers()[0].GetAttributes().GetId() != container.ID {
			t.Errorf("%s: containers %v", tree, got.GetContainers())
		}
		checkNetwork(t, got.GetNetwork())
	}
}

func checkNetwork(t *testing.T, got *cri.NetworkUsage) {
	t.Helper()
	want := &cri.NetworkUsage{
		Timestamp: noon.UnixNano(),
		DefaultInterface: &cri.NetworkInterfaceUsage{
			Name: "eth0", RxBytes: value(4860), RxErrors: value(1), TxBytes: value(9720), TxErrors: value(3),
		},
		Interfaces: []*cri.NetworkInterfaceUsage{
			{Name: "net1", RxBytes: value(10), RxErrors: value(0), TxBytes: value(20), TxErrors: value(0)},
		},
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("network: (-want +got)\n%s", diff)
	}
}

func TestGoneContainersAreLeftOut(t *testing.T) {
	for name, gone := range map[string]Target{
		"no process":                   {ID: strings.Repeat("d", 64), PID: 7},
		"another container's process":  {ID: strings.Repeat("c", 64), PID: 42},
		"no ID, which all paths would": {PID: 42},
	} {
		c := open(t, "v2")
		if _, err := c.Container(gone); !errors.Is(err, ErrGone) {
			t.Errorf("%s: %v, want ErrGone", name, err)
		}
		all, err := c.Containers(t.Context(), []Target{gone, container})
		if err != nil || len(all) != 1 || all[0].GetAttributes().GetId() != container.ID {
			t.Errorf("%s: %v, %v, want the other container alone", name, all, err)
		}
	}
}

func TestHostNetworkIsNotThePods(t *testing.T) {
	got, err := open(t, "v2").Pod(Pod{Sandbox: sandbox, HostNetwork: true})
	if err != nil || got.GetNetwork() != nil {
		t.Errorf("network %v, %v, want none", got.GetNetwork(), err)
	}
}

func TestBackgroundSamplingGivesRates(t *testing.T) {
	c := open(t, "v2")
	pods := []Pod{{Sandbox: sandbox, Containers: []Target{container}, OwnCgroup: true}}
	c.sample(pods)
	c.now = func() time.Time { return noon.Add(2 * time.Second) }
	stats, err := c.Container(container)
	if err != nil || stats.GetCpu().GetUsageNanoCores() == nil {
		t.Errorf("no CPU rate after a sample: %v, %v", stats.GetCpu(), err)
	}
	pod, err := c.Pod(pods[0])
	if err != nil || pod.GetCpu().GetUsageNanoCores() == nil {
		t.Errorf("no CPU rate of the pod after a sample: %v, %v", pod.GetCpu(), err)
	}
	c.sample(nil)
	if len(c.rates.last)+len(c.known) != 0 {
		t.Errorf("containers that no longer run are remembered: %v, %v", c.rates.last, c.known)
	}
}

func TestRates(t *testing.T) {
	r := newRates()
	at := func(ms int) time.Time { return noon.Add(time.Duration(ms) * time.Millisecond) }
	for i, step := range []struct {
		ms    int
		nanos uint64
		want  uint64
		ok    bool
	}{
		{0, 5e9, 0, false},         // nothing to compare with
		{100, 6e9, 0, false},       // too soon
		{1000, 5.5e9, 5e8, true},   // half a core since the first
		{1200, 5.6e9, 5e8, true},   // too soon after the second: since the first
		{11000, 10.5e9, 5e8, true}, // since the second
		{21000, 1e9, 0, false},     // the counter restarted
		{31000, 21e9, 20e8, true},  // two cores
	} {
		got, ok := r.observe("id", at(step.ms), step.nanos)
		if ok != step.ok || got != step.want {
			t.Errorf("step %d: %d, %t, want %d, %t", i, got, ok, step.want, step.ok)
		}
	}
}

// Where the host has version 1, also in part, limits are there and only there.
func TestDirectories(t *testing.T) {
	for tree, want := range map[string]struct{ v1, v2 string }{
		"v1":     {v1: "/sys/fs/cgroup/blk io/docker/" + container.ID},
		"v2":     {v2: "/sys/fs/cgroup/kubepods.slice/kubepods-pod1.slice/docker-" + container.ID + ".scope"},
		"hybrid": {v1: "/sys/fs/cgroup/blkio/kubepods/pod1/" + container.ID},
	} {
		v1, v2, err := open(t, tree).Directories(container, "blkio")
		if err != nil || strings.TrimPrefix(v1, "testdata/"+tree) != want.v1 || strings.TrimPrefix(v2, "testdata/"+tree) != want.v2 {
			t.Errorf("%s: %q, %q, %v; want %+v", tree, v1, v2, err, want)
		}
		if v1, v2, err := open(t, tree).Directories(container, "absent"); err != nil || v1 != "" || (v2 != "") != (want.v2 != "") {
			t.Errorf("%s, a controller that is not there: %q, %q, %v", tree, v1, v2, err)
		}
		// Its number is another process's by now.
		if _, _, err := open(t, tree).Directories(Target{ID: container.ID, PID: sandbox.PID}, "blkio"); !errors.Is(err, ErrGone) {
			t.Errorf("%s, a process of another container: %v", tree, err)
		}
	}
}
