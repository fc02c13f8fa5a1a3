package stats

import (
	"strings"
	"time"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// containerMetrics are those the kubelet publishes on /metrics/cadvisor, under
// cAdvisor's names. Values are whole numbers in the CRI, so that seconds are
// rounded down.
var containerMetrics = []metric{
	counter("container_cpu_usage_seconds_total", "Cumulative CPU time consumed, in seconds.",
		func(r reading) []sample { return seconds(figure{r.usage.cpu, r.usage.hasCPU}) }),
	counter("container_cpu_user_seconds_total", "Cumulative CPU time consumed in user mode, in seconds.",
		func(r reading) []sample { return seconds(r.detail.user) }),
	counter("container_cpu_system_seconds_total", "Cumulative CPU time consumed in the kernel, in seconds.",
		func(r reading) []sample { return seconds(r.detail.system) }),
	counter("container_cpu_cfs_periods_total", "Enforcement periods elapsed under a CPU quota.",
		func(r reading) []sample { return one(r.detail.periods) }),
	counter("container_cpu_cfs_throttled_periods_total", "Enforcement periods in which the container was throttled.",
		func(r reading) []sample { return one(r.detail.throttled) }),
	counter("container_cpu_cfs_throttled_seconds_total", "Time the container was throttled, in seconds.",
		func(r reading) []sample { return seconds(r.detail.throttledTime) }),

	gauge("container_memory_usage_bytes", "Memory in use, page cache included.",
		func(r reading) []sample { return memory(r, r.usage.memory) }),
	gauge("container_memory_working_set_bytes", "Memory in use without the inactive page cache.",
		func(r reading) []sample { return memory(r, r.usage.workingSet()) }),
	gauge("container_memory_rss", "Anonymous memory, in bytes.",
		func(r reading) []sample { return memory(r, r.usage.rss) }),
	gauge("container_memory_cache", "Page cache, in bytes.",
		func(r reading) []sample { return memory(r, r.usage.cache) }),
	gauge("container_memory_mapped_file", "Mapped files in memory, in bytes.",
		func(r reading) []sample { return memory(r, r.usage.mappedFile) }),
	gauge("container_memory_swap", "Swap in use, in bytes.",
		func(r reading) []sample { return memory(r, r.usage.swap) }),
	gauge("container_memory_kernel_usage", "Kernel memory in use, in bytes.",
		func(r reading) []sample { return memory(r, r.detail.kernelMemory.n) }),
	gauge("container_memory_max_usage_bytes", "The most memory that was in use.",
		func(r reading) []sample { return one(r.detail.maxMemory) }),
	counter("container_memory_failcnt", "Times the memory limit was reached.",
		func(r reading) []sample { return one(r.detail.failures) }),
	counter("container_memory_failures_total", "Page faults.", pageFaults, "failure_type", "scope"),
	counter("container_oom_events_total", "Processes killed for lack of memory.",
		func(r reading) []sample { return one(r.detail.oomKills) }),

	gauge("container_hugetlb_usage_bytes", "Huge pages in use, in bytes.",
		func(r reading) []sample { return huge(r, func(h hugePages) figure { return h.usage }) }, "pagesize"),
	gauge("container_hugetlb_max_usage_bytes", "The most huge pages that were in use, in bytes.",
		func(r reading) []sample { return huge(r, func(h hugePages) figure { return h.max }) }, "pagesize"),

	counter("container_blkio_device_usage_total", "Bytes transferred, by device and operation.", deviceUsage,
		"device", "major", "minor", "operation"),
	counter("container_fs_reads_bytes_total", "Bytes read, by device.",
		func(r reading) []sample { return traffic(r, "Read", device.bytesBy) }, "device"),
	counter("container_fs_writes_bytes_total", "Bytes written, by device.",
		func(r reading) []sample { return traffic(r, "Write", device.bytesBy) }, "device"),
	counter("container_fs_reads_total", "Reads completed, by device.",
		func(r reading) []sample { return traffic(r, "Read", device.countBy) }, "device"),
	counter("container_fs_writes_total", "Writes completed, by device.",
		func(r reading) []sample { return traffic(r, "Write", device.countBy) }, "device"),
	gauge("container_fs_usage_bytes", "Bytes in the container's writable layer.",
		func(r reading) []sample { return filesystem(r, r.target.Filesystem.Used) }, "device"),
	gauge("container_fs_limit_bytes", "Size of the file system of the writable layer, in bytes.",
		func(r reading) []sample { return filesystem(r, r.target.Filesystem.Limit) }, "device"),
	gauge("container_fs_inodes_total", "Inodes of the file system of the writable layer.",
		func(r reading) []sample { return filesystem(r, r.target.Filesystem.Inodes) }, "device"),
	gauge("container_fs_inodes_free", "Free inodes of the file system of the writable layer.",
		func(r reading) []sample { return filesystem(r, r.target.Filesystem.InodesFree) }, "device"),

	gauge("container_processes", "Processes in the container.",
		func(r reading) []sample { return always(r.detail.processes) }),
	gauge("container_threads", "Threads in the container.",
		func(r reading) []sample { return one(r.detail.tasks) }),
	gauge("container_threads_max", "Threads allowed in the container; 0 is no limit.",
		func(r reading) []sample { return one(r.detail.tasksMax) }),
	gauge("container_file_descriptors", "Open files of the container's processes.",
		func(r reading) []sample { return always(r.detail.descriptors) }),
	gauge("container_sockets", "Open sockets of the container's processes.",
		func(r reading) []sample { return always(r.detail.sockets) }),
	gauge("container_ulimits_soft", "Soft resource limits of the container's first process.", fileLimit, "ulimit"),

	gauge("container_spec_cpu_period", "CPU enforcement period, in microseconds.",
		func(r reading) []sample { return one(r.detail.period) }),
	gauge("container_spec_cpu_quota", "CPU time allowed a period, in microseconds; absent without a limit.",
		func(r reading) []sample { return one(r.detail.quota) }),
	gauge("container_spec_cpu_shares", "CPU shares.",
		func(r reading) []sample { return one(r.detail.shares) }),
	gauge("container_spec_memory_limit_bytes", "Memory limit; 0 is none.",
		func(r reading) []sample { return memory(r, r.detail.memoryLimit) }),
	gauge("container_spec_memory_swap_limit_bytes", "Swap limit; 0 is none.",
		func(r reading) []sample { return memory(r, r.detail.swapLimit) }),
	gauge("container_spec_memory_reservation_limit_bytes", "Memory that reclaim spares; 0 is none.",
		func(r reading) []sample { return one(r.detail.reservation) }),

	counter("container_pressure_cpu_waiting_seconds_total", "Time some task waited for a CPU, in seconds.",
		func(r reading) []sample { return waiting(r.usage.cpuPressure) }),
	counter("container_pressure_cpu_stalled_seconds_total", "Time all tasks waited for a CPU, in seconds.",
		func(r reading) []sample { return stalled(r.usage.cpuPressure) }),
	counter("container_pressure_memory_waiting_seconds_total", "Time some task waited for memory, in seconds.",
		func(r reading) []sample { return waiting(r.usage.memoryPressure) }),
	counter("container_pressure_memory_stalled_seconds_total", "Time all tasks waited for memory, in seconds.",
		func(r reading) []sample { return stalled(r.usage.memoryPressure) }),
	counter("container_pressure_io_waiting_seconds_total", "Time some task waited for I/O, in seconds.",
		func(r reading) []sample { return waiting(r.usage.ioPressure) }),
	counter("container_pressure_io_stalled_seconds_total", "Time all tasks waited for I/O, in seconds.",
		func(r reading) []sample { return stalled(r.usage.ioPressure) }),

	gauge("container_start_time_seconds", "When the container started, in seconds of Unix time.",
		func(r reading) []sample { return always(uint64(max(0, r.target.Started.Unix()))) }),
	gauge("container_last_seen", "When the container was measured, in seconds of Unix time.",
		func(r reading) []sample { return always(uint64(r.usage.at.Unix())) }),
}

func always(n uint64) []sample { return []sample{{value: n}} }

func one(f figure) []sample {
	if !f.ok {
		return nil
	}
	return always(f.n)
}

func seconds(nanos figure) []sample {
	nanos.n /= uint64(time.Second)
	return one(nanos)
}

func memory(r reading, n uint64) []sample { return one(figure{n, r.usage.hasMemory}) }

func pageFaults(r reading) []sample {
	if !r.usage.hasMemory {
		return nil
	}
	// The figures include child groups, which containers rarely have: both
	// scopes are the same.
	return []sample{
		{r.usage.pageFaults, []string{"pgfault", "container"}},
		{r.usage.pageFaults, []string{"pgfault", "hierarchy"}},
		{r.usage.majFaults, []string{"pgmajfault", "container"}},
		{r.usage.majFaults, []string{"pgmajfault", "hierarchy"}},
	}
}

func huge(r reading, of func(hugePages) figure) (all []sample) {
	for _, h := range r.detail.hugePages {
		for _, s := range one(of(h)) {
			all = append(all, sample{s.value, []string{h.size}})
		}
	}
	return all
}

func (d device) bytesBy(operation string) uint64 { return d.bytes[operation] }
func (d device) countBy(operation string) uint64 { return d.count[operation] }

func traffic(r reading, operation string, of func(device, string) uint64) (all []sample) {
	for _, d := range r.detail.devices {
		all = append(all, sample{of(d, operation), []string{d.name}})
	}
	return all
}

func deviceUsage(r reading) (all []sample) {
	for _, d := range r.detail.devices {
		for _, operation := range []string{"Read", "Write"} {
			all = append(all, sample{d.bytes[operation], []string{d.name, d.major, d.minor, operation}})
		}
	}
	return all
}

func filesystem(r reading, n uint64) []sample {
	return []sample{{n, []string{r.target.Filesystem.Device}}}
}

func fileLimit(r reading) []sample {
	if !r.detail.openFilesLimit.ok {
		return nil
	}
	return []sample{{r.detail.openFilesLimit.n, []string{"max_open_files"}}}
}

func waiting(p *cri.PsiStats) []sample {
	return seconds(figure{p.GetSome().GetTotal(), p.GetSome() != nil})
}

func stalled(p *cri.PsiStats) []sample {
	return seconds(figure{p.GetFull().GetTotal(), p.GetFull() != nil})
}

// controlGroup is the path that names the container in text, the content of
// its /proc/PID/cgroup.
func controlGroup(text, id string) string {
	for line := range strings.Lines(text) {
		if parts := strings.SplitN(strings.TrimSpace(line), ":", 3); len(parts) == 3 && strings.Contains(parts[2], id) {
			return parts[2]
		}
	}
	return "/" + id
}
