package stats

// readV2 reads the unified tree; see Documentation/admin-guide/cgroup-v2.rst.
// Every figure includes the children.
func (u *usage) readV2(d *dir) {
	u.readCPUV2(d)
	u.memory, u.hasMemory = d.number("memory.current")
	if !u.hasMemory {
		return
	}
	if limit, ok := d.number("memory.max"); ok {
		u.memoryLimit = limit
	}
	d.pairs("memory.stat", func(key []byte, value uint64) {
		switch string(key) {
		case "inactive_file":
			u.inactiveFile = value
		case "active_file":
			u.activeFile = value
		case "anon":
			u.rss = value
		case "file":
			u.cache = value
		case "file_mapped":
			u.mappedFile = value
		case "kernel":
			u.kernel = value
		case "pgfault":
			u.pageFaults = value
		case "pgmajfault":
			u.majFaults = value
		}
	})
	if u.swap, u.hasSwap = d.number("memory.swap.current"); u.hasSwap {
		if limit, ok := d.number("memory.swap.max"); ok {
			u.swapLimit = limit
		}
	}
}

func (u *usage) readCPUV2(d *dir) {
	d.pairs("cpu.stat", func(key []byte, value uint64) {
		if string(key) == "usage_usec" {
			u.cpu, u.hasCPU = value*1000, true
		}
	})
}
