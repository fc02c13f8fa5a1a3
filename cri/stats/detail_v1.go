package stats

import (
	"errors"
	"path/filepath"
	"strconv"
	"strings"
)

// clockTick is what cpuacct.stat counts in: USER_HZ, 100 on every
// architecture Docker runs on (time(7)).
const clockTick = 1e9 / 100

func (d *detail) readV1(paths map[string]string) error {
	cpu, cpuacct := &dir{path: paths["cpu"]}, &dir{path: paths["cpuacct"]}
	memory, pids := &dir{path: paths["memory"]}, &dir{path: paths["pids"]}
	blkio, huge := &dir{path: paths["blkio"]}, &dir{path: paths["hugetlb"]}

	d.readCPUV1(cpu, cpuacct)
	d.maxMemory.set(memory.number("memory.max_usage_in_bytes"))
	d.failures.set(memory.number("memory.failcnt"))
	d.kernelMemory.set(memory.number("memory.kmem.usage_in_bytes"))
	if soft, ok := memory.number("memory.soft_limit_in_bytes"); ok {
		d.reservation = some(zeroIfUnlimited(soft))
	}
	memory.pairs("memory.oom_control", func(key []byte, n uint64) {
		if string(key) == "oom_kill" {
			d.oomKills = some(n)
		}
	})
	d.readPIDs(pids)
	d.devices = parseBlkio(
		string(firstOf(blkio, "blkio.throttle.io_service_bytes_recursive", "blkio.bfq.io_service_bytes_recursive")),
		string(firstOf(blkio, "blkio.throttle.io_serviced_recursive", "blkio.bfq.io_serviced_recursive")))
	for _, size := range pageSizes(huge.path, ".usage_in_bytes") {
		h := hugePages{size: size}
		h.usage.set(huge.number("hugetlb." + size + ".usage_in_bytes"))
		h.max.set(huge.number("hugetlb." + size + ".max_usage_in_bytes"))
		d.hugePages = append(d.hugePages, h)
	}
	return errors.Join(cpu.err, cpuacct.err, memory.err, pids.err, blkio.err, huge.err)
}

func (d *detail) readCPUV1(cpu, cpuacct *dir) {
	cpuacct.pairs("cpuacct.stat", func(key []byte, ticks uint64) {
		switch string(key) {
		case "user":
			d.user = some(ticks * clockTick)
		case "system":
			d.system = some(ticks * clockTick)
		}
	})
	cpu.pairs("cpu.stat", func(key []byte, n uint64) {
		switch string(key) {
		case "nr_periods":
			d.periods = some(n)
		case "nr_throttled":
			d.throttled = some(n)
		case "throttled_time":
			d.throttledTime = some(n)
		}
	})
	d.period.set(cpu.number("cpu.cfs_period_us"))
	if quota, ok := cpu.number("cpu.cfs_quota_us"); ok && quota != unlimited {
		d.quota = some(quota)
	}
	d.shares.set(cpu.number("cpu.shares"))
}

func (d *detail) readPIDs(pids *dir) {
	d.tasks.set(pids.number("pids.current"))
	if limit, ok := pids.number("pids.max"); ok {
		d.tasksMax = some(zeroIfUnlimited(limit))
	}
}

// firstOf reads the first file of names that has content.
func firstOf(d *dir, names ...string) []byte {
	for _, name := range names {
		if data := d.bytes(name); len(data) > 0 {
			return data
		}
	}
	return nil
}

// parseBlkio reads lines "8:0 Read 4096" of two files, bytes and operations.
func parseBlkio(bytes, counts string) []device {
	var devices []device
	index := map[string]int{}
	take := func(text string, of func(*device) map[string]uint64) {
		for line := range strings.Lines(text) {
			fields := strings.Fields(line)
			if len(fields) != 3 { // "Total 4096"
				continue
			}
			n, err := strconv.ParseUint(fields[2], 10, 64)
			if err != nil {
				continue
			}
			i, known := index[fields[0]]
			if !known {
				i = len(devices)
				index[fields[0]] = i
				devices = append(devices, newDevice(fields[0]))
			}
			of(&devices[i])[fields[1]] = n
		}
	}
	take(bytes, func(d *device) map[string]uint64 { return d.bytes })
	take(counts, func(d *device) map[string]uint64 { return d.count })
	return devices
}

func newDevice(number string) device {
	major, minor, _ := strings.Cut(number, ":")
	return device{major: major, minor: minor, bytes: map[string]uint64{}, count: map[string]uint64{}}
}

// pageSizes lists the huge page sizes ("2MB") that have a file
// hugetlb.SIZEsuffix.
func pageSizes(path, suffix string) (sizes []string) {
	if path == "" {
		return nil
	}
	// The only error is a malformed pattern.
	files, _ := filepath.Glob(path + "/hugetlb.*" + suffix)
	for _, file := range files {
		size := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), "hugetlb."), suffix)
		if !strings.Contains(size, ".") { // not "2MB.rsvd"
			sizes = append(sizes, size)
		}
	}
	return sizes
}
