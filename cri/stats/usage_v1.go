package stats

import "errors"

// readV1 reads version 1's controllers; see
// Documentation/admin-guide/cgroup-v1/. Children are included: cpuacct counts
// them always, memory in the total_ figures.
func (u *usage) readV1(g groups) (files int, err error) {
	cpu := &dir{path: g.v1["cpuacct"], from: g.files}
	u.cpu, u.hasCPU = cpu.number("cpuacct.usage")

	memory := &dir{path: g.v1["memory"], from: g.files}
	u.memory, u.hasMemory = memory.number("memory.usage_in_bytes")
	if u.hasMemory {
		u.readMemoryV1(memory)
	}
	return cpu.read + memory.read, errors.Join(cpu.err, memory.err)
}

func (u *usage) readMemoryV1(memory *dir) {
	if limit, ok := memory.number("memory.limit_in_bytes"); ok {
		u.memoryLimit = limit
	}
	memory.pairs("memory.stat", func(key []byte, value uint64) {
		switch string(key) {
		case "total_inactive_file":
			u.inactiveFile = value
		case "total_active_file":
			u.activeFile = value
		case "total_rss":
			u.rss = value
		case "total_cache":
			u.cache = value
		case "total_mapped_file":
			u.mappedFile = value
		case "total_pgfault":
			u.pageFaults = value
		case "total_pgmajfault":
			u.majFaults = value
		case "total_swap":
			u.swap = value
		}
	})
	// Memory and swap have one limit together; the file is missing where swap
	// is not accounted.
	both, ok := memory.number("memory.memsw.limit_in_bytes")
	u.hasSwap = ok
	if ok && both != unlimited && u.memoryLimit <= both {
		u.swapLimit = both - u.memoryLimit
	}
}
