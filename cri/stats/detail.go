package stats

import (
	"strconv"
	"strings"
)

// detail is what the metrics show beyond usage. Absent figures are not in maps
// and have a false ok; a metric without a figure is left out.
type detail struct {
	user, system           figure // nanoseconds
	periods, throttled     figure
	throttledTime          figure // nanoseconds
	period, quota, shares  figure // microseconds, microseconds, CPU shares
	maxMemory, failures    figure
	reservation            figure
	kernelMemory           figure
	oomKills               figure
	tasks, tasksMax        figure
	devices                []device
	hugePages              []hugePages
	processes              uint64
	descriptors, sockets   uint64
	openFilesLimit         figure
	memoryLimit, swapLimit uint64 // 0 where unlimited, as cAdvisor shows them
}

// figure is a number that may be missing.
type figure struct {
	n  uint64
	ok bool
}

func some(n uint64) figure { return figure{n, true} }

func (f *figure) set(n uint64, ok bool) {
	if ok {
		*f = figure{n, ok}
	}
}

// device is a block device's traffic, by operation (Read, Write, ...).
type device struct {
	major, minor string
	name         string
	bytes, count map[string]uint64
}

type hugePages struct {
	size       string
	usage, max figure
}

// detail reads the rest of a container's control groups.
func (c *Collector) detail(t Target, g groups, u usage) (detail, error) {
	d := detail{memoryLimit: zeroIfUnlimited(u.memoryLimit), swapLimit: zeroIfUnlimited(u.swapLimit)}
	var err error
	if len(g.v1) > 0 {
		err = d.readV1(g.v1)
	} else {
		err = d.readV2(g.unified)
	}
	if err != nil {
		return detail{}, err
	}
	for i := range d.devices {
		d.devices[i].name = c.deviceName(d.devices[i])
	}
	if !d.maxMemory.ok && u.hasMemory {
		// Kernels before 5.19 keep no maximum in version 2: this is the highest
		// value known.
		d.maxMemory = some(u.memory)
	}
	c.countProcesses(&d, g)
	if limits, err := c.readProc(t.PID, "limits"); err == nil {
		d.openFilesLimit = parseOpenFiles(string(limits))
	}
	return d, nil
}

func zeroIfUnlimited(limit uint64) uint64 {
	if limit == unlimited {
		return 0
	}
	return limit
}

// parseOpenFiles takes the soft limit of /proc/PID/limits' line "Max open
// files  1024  4096  files".
func parseOpenFiles(text string) figure {
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(line, "Max open files")
		if !ok {
			continue
		}
		fields := strings.Fields(rest)
		if len(fields) == 0 {
			return figure{}
		}
		n, err := strconv.ParseUint(fields[0], 10, 64)
		return figure{n, err == nil}
	}
	return figure{}
}
