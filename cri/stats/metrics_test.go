package stats

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func metricPod() MetricPod {
	return MetricPod{
		Namespace: "default", Name: "web",
		Sandbox: MetricTarget{Target: sandbox},
		Containers: []MetricTarget{{
			Target: container, Container: "nginx", Image: "nginx:1", Started: noon,
			Filesystem: Filesystem{Device: "/dev/sda1", Used: 1, Limit: 2, Inodes: 3, InodesFree: 4},
		}},
	}
}

// lines renders metrics as Prometheus would, less the base labels.
func lines(metrics []*cri.Metric) map[string]uint64 {
	all := map[string]uint64{}
	for _, m := range metrics {
		own := m.GetLabelValues()[len(baseLabels):]
		all[m.GetName()+fmt.Sprint(own)] = m.GetValue().GetValue()
	}
	return all
}

func TestContainerMetrics(t *testing.T) {
	want := map[string]uint64{
		"container_cpu_usage_seconds_total[]":                    0,
		"container_cpu_user_seconds_total[]":                     2,
		"container_cpu_system_seconds_total[]":                   1,
		"container_cpu_cfs_periods_total[]":                      5,
		"container_cpu_cfs_throttled_periods_total[]":            2,
		"container_cpu_cfs_throttled_seconds_total[]":            3,
		"container_memory_usage_bytes[]":                         1_400_832,
		"container_memory_working_set_bytes[]":                   1_400_832 - 147_456,
		"container_memory_rss[]":                                 118_784,
		"container_memory_cache[]":                               430_080,
		"container_memory_mapped_file[]":                         368_640,
		"container_memory_swap[]":                                4096,
		"container_memory_kernel_usage[]":                        348_160,
		"container_memory_max_usage_bytes[]":                     3_821_568,
		"container_memory_failcnt[]":                             7,
		"container_memory_failures_total[pgfault container]":     1096,
		"container_memory_failures_total[pgfault hierarchy]":     1096,
		"container_memory_failures_total[pgmajfault container]":  2,
		"container_memory_failures_total[pgmajfault hierarchy]":  2,
		"container_oom_events_total[]":                           3,
		"container_blkio_device_usage_total[/dev/sda 8 0 Read]":  4096,
		"container_blkio_device_usage_total[/dev/sda 8 0 Write]": 8192,
		"container_fs_reads_bytes_total[/dev/sda]":               4096,
		"container_fs_writes_bytes_total[/dev/sda]":              8192,
		"container_fs_reads_total[/dev/sda]":                     1,
		"container_fs_writes_total[/dev/sda]":                    2,
		"container_fs_usage_bytes[/dev/sda1]":                    1,
		"container_fs_limit_bytes[/dev/sda1]":                    2,
		"container_fs_inodes_total[/dev/sda1]":                   3,
		"container_fs_inodes_free[/dev/sda1]":                    4,
		"container_processes[]":                                  1,
		"container_threads[]":                                    2,
		"container_threads_max[]":                                50,
		"container_file_descriptors[]":                           3,
		"container_sockets[]":                                    2,
		"container_ulimits_soft[max_open_files]":                 20000,
		"container_spec_cpu_period[]":                            100_000,
		"container_spec_cpu_quota[]":                             50_000,
		"container_spec_cpu_shares[]":                            1024,
		"container_spec_memory_limit_bytes[]":                    67_108_864,
		"container_spec_memory_swap_limit_bytes[]":               32 << 20,
		"container_spec_memory_reservation_limit_bytes[]":        0,
		"container_pressure_cpu_waiting_seconds_total[]":         0,
		"container_pressure_cpu_stalled_seconds_total[]":         0,
		"container_pressure_memory_waiting_seconds_total[]":      0,
		"container_pressure_memory_stalled_seconds_total[]":      0,
		"container_pressure_io_waiting_seconds_total[]":          0,
		"container_pressure_io_stalled_seconds_total[]":          0,
		"container_start_time_seconds[]":                         uint64(noon.Unix()),
		"container_last_seen[]":                                  uint64(noon.Unix()),
	}
	for _, tree := range []string{"hybrid", "v2"} {
		want := want
		if tree == "v2" {
			want = with(want, "container_hugetlb_usage_bytes[2MB]", 2<<20)
			// 39 is the nearest weight; it maps back to this.
			want["container_spec_cpu_shares[]"] = 998
		}
		c := open(t, withProcesses(t, tree))
		pods, err := c.Metrics(t.Context(), []MetricPod{metricPod()})
		if err != nil || len(pods) != 1 || len(pods[0].GetContainerMetrics()) != 1 {
			t.Fatalf("%s: %v, %v", tree, pods, err)
		}
		got := pods[0].GetContainerMetrics()[0].GetMetrics()
		if diff := cmp.Diff(want, lines(got)); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", tree, diff)
		}
		checkLabels(t, pods[0])
	}
}

func with(m map[string]uint64, key string, n uint64) map[string]uint64 {
	more := map[string]uint64{key: n}
	for k, v := range m {
		more[k] = v
	}
	return more
}

// withProcesses copies a tree and adds what cannot be committed: symbolic links
// to sockets, and a file name with a colon. It returns a path for open.
func withProcesses(t *testing.T, tree string) string {
	t.Helper()
	root := t.TempDir()
	if err := os.CopyFS(root, os.DirFS("testdata/"+tree)); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{
		"proc/42/fd/0": "/dev/null", "proc/42/fd/1": "socket:[1]", "proc/42/fd/2": "socket:[2]",
		"sys/dev/block/8:0": "../../devices/pci0/block/sda",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, path); err != nil {
			t.Fatal(err)
		}
	}
	here, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	relative, err := filepath.Rel(here, root)
	if err != nil {
		t.Fatal(err)
	}
	return relative
}

// checkLabels holds every metric against its descriptor, as the kubelet does.
func checkLabels(t *testing.T, pod *cri.PodSandboxMetrics) {
	t.Helper()
	keys := map[string]int{}
	for _, d := range Descriptors() {
		if d.GetHelp() == "" || keys[d.GetName()] != 0 {
			t.Errorf("descriptor %s: no help, or twice", d.GetName())
		}
		keys[d.GetName()] = len(d.GetLabelKeys())
	}
	all := append([]*cri.Metric{}, pod.GetMetrics()...)
	for _, c := range pod.GetContainerMetrics() {
		all = append(all, c.GetMetrics()...)
	}
	for _, m := range all {
		if len(m.GetLabelValues()) != keys[m.GetName()] {
			t.Errorf("%s: %d label values for %d keys", m.GetName(), len(m.GetLabelValues()), keys[m.GetName()])
		}
	}
	labels := strings.Join(all[len(all)-1].GetLabelValues(), " ")
	for _, want := range []string{"nginx ", container.ID, "nginx:1", "default", "web"} {
		if !strings.Contains(labels, want) {
			t.Errorf("labels %q lack %q", labels, want)
		}
	}
}

func TestPodMetrics(t *testing.T) {
	pods, err := open(t, "v1").Metrics(t.Context(), []MetricPod{metricPod()})
	if err != nil || len(pods) != 1 {
		t.Fatalf("%v, %v", pods, err)
	}
	want := map[string]uint64{
		"container_network_receive_bytes_total[eth0]":            4860,
		"container_network_receive_packets_total[eth0]":          50,
		"container_network_receive_packets_dropped_total[eth0]":  2,
		"container_network_receive_errors_total[eth0]":           1,
		"container_network_transmit_bytes_total[eth0]":           9720,
		"container_network_transmit_packets_total[eth0]":         60,
		"container_network_transmit_packets_dropped_total[eth0]": 4,
		"container_network_transmit_errors_total[eth0]":          3,
	}
	got := lines(pods[0].GetMetrics())
	for name, n := range want {
		if got[name] != n {
			t.Errorf("%s is %d, want %d", name, got[name], n)
		}
	}
	if got["container_network_transmit_bytes_total[net1]"] != 20 {
		t.Error("the second interface is missing")
	}
	// Limits that version 1 writes as a huge number are 0.
	container := lines(pods[0].GetContainerMetrics()[0].GetMetrics())
	for _, name := range []string{"container_spec_memory_limit_bytes[]", "container_threads_max[]"} {
		if n, ok := container[name]; !ok || n != 0 {
			t.Errorf("%s is %d, %t, want 0", name, n, ok)
		}
	}
	if _, ok := container["container_spec_cpu_quota[]"]; ok {
		t.Error("a quota is reported where none is set")
	}
}

func TestStartTimeUnknown(t *testing.T) {
	p := metricPod()
	p.Containers[0].Started = time.Time{}
	pods, err := open(t, "v1").Metrics(t.Context(), []MetricPod{p})
	if err != nil {
		t.Fatal(err)
	}
	if n := lines(pods[0].GetContainerMetrics()[0].GetMetrics())["container_start_time_seconds[]"]; n != 0 {
		t.Errorf("start time %d, want 0", n)
	}
}
