package stats

import (
	"errors"
	"fmt"
	"time"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// usage is one reading of a control group, of either version. Sizes are in
// bytes, times in nanoseconds; limits are unlimited where not set. The has
// fields tell a controller that is missing from one that reads zero.
type usage struct {
	at time.Time

	hasCPU bool
	cpu    uint64

	hasMemory              bool
	memory, memoryLimit    uint64
	inactiveFile           uint64
	activeFile             uint64
	rss, cache, mappedFile uint64
	kernel                 uint64
	pageFaults, majFaults  uint64

	hasSwap         bool
	swap, swapLimit uint64

	cpuPressure, memoryPressure, ioPressure *cri.PsiStats
}

// read takes a reading. The resources of version 1 are used where there are
// any, which is what hybrid mode means.
func (g groups) read(now time.Time) (usage, error) {
	g.files.reading.Lock()
	defer g.files.reading.Unlock()
	u := usage{at: now, memoryLimit: unlimited, swapLimit: unlimited}
	unified := &dir{path: g.unified, from: g.files}
	var err error
	files := 0
	if len(g.v1) > 0 {
		files, err = u.readV1(g)
	}
	if !u.hasCPU && !u.hasMemory {
		u.readV2(unified)
	}
	u.cpuPressure = unified.pressure("cpu.pressure")
	u.memoryPressure = unified.pressure("memory.pressure")
	u.ioPressure = unified.pressure("io.pressure")
	if err := errors.Join(err, unified.err); err != nil {
		return usage{}, fmt.Errorf("read control group: %w", err)
	}
	if files+unified.read == 0 {
		return usage{}, ErrGone
	}
	return u, nil
}

// cpuTime reads the CPU counter alone, in nanoseconds.
func (g groups) cpuTime() (uint64, bool) {
	g.files.reading.Lock()
	defer g.files.reading.Unlock()
	if path := g.v1["cpuacct"]; path != "" {
		return (&dir{path: path, from: g.files}).number("cpuacct.usage")
	}
	u := usage{}
	u.readCPUV2(&dir{path: g.unified, from: g.files})
	return u.cpu, u.hasCPU
}

// workingSet is memory that cannot be given back at once, as the kubelet
// defines it for eviction: usage without the inactive part of the page cache.
func (u usage) workingSet() uint64 {
	if u.inactiveFile >= u.memory {
		return 0
	}
	return u.memory - u.inactiveFile
}

// left is what a limit leaves, nil without one.
func left(limit, used uint64) *cri.UInt64Value {
	if limit == unlimited {
		return nil
	}
	if used > limit {
		used = limit
	}
	return &cri.UInt64Value{Value: limit - used}
}

// plus adds two readings of control groups that do not contain each other.
// Pressure cannot be added: the same moment may be in both.
func (u usage) plus(v usage) usage {
	sum := usage{
		at:           v.at,
		hasCPU:       u.hasCPU || v.hasCPU,
		cpu:          u.cpu + v.cpu,
		hasMemory:    u.hasMemory || v.hasMemory,
		memory:       u.memory + v.memory,
		memoryLimit:  plusLimit(u.memoryLimit, v.memoryLimit),
		inactiveFile: u.inactiveFile + v.inactiveFile,
		activeFile:   u.activeFile + v.activeFile,
		rss:          u.rss + v.rss,
		cache:        u.cache + v.cache,
		mappedFile:   u.mappedFile + v.mappedFile,
		kernel:       u.kernel + v.kernel,
		pageFaults:   u.pageFaults + v.pageFaults,
		majFaults:    u.majFaults + v.majFaults,
		hasSwap:      u.hasSwap || v.hasSwap,
		swap:         u.swap + v.swap,
		swapLimit:    plusLimit(u.swapLimit, v.swapLimit),
	}
	return sum
}

func plusLimit(a, b uint64) uint64 {
	if a == unlimited || b == unlimited {
		return unlimited
	}
	return a + b
}
