package stats

import (
	"strconv"
	"strings"
)

func (d *detail) readV2(path string) error {
	g := &dir{path: path}
	d.readCPUDetailV2(g)
	d.maxMemory.set(g.number("memory.peak"))
	if low, ok := g.number("memory.low"); ok {
		d.reservation = some(zeroIfUnlimited(low))
	}
	g.pairs("memory.stat", func(key []byte, n uint64) {
		if string(key) == "kernel" {
			d.kernelMemory = some(n)
		}
	})
	g.pairs("memory.events", func(key []byte, n uint64) {
		switch string(key) {
		case "max":
			d.failures = some(n)
		case "oom_kill":
			d.oomKills = some(n)
		}
	})
	d.readPIDs(g)
	d.devices = parseIOStat(string(g.bytes("io.stat")))
	for _, size := range pageSizes(path, ".current") {
		h := hugePages{size: size}
		h.usage.set(g.number("hugetlb." + size + ".current"))
		d.hugePages = append(d.hugePages, h)
	}
	return g.err
}

func (d *detail) readCPUDetailV2(g *dir) {
	g.pairs("cpu.stat", func(key []byte, n uint64) {
		switch string(key) {
		case "user_usec":
			d.user = some(n * 1000)
		case "system_usec":
			d.system = some(n * 1000)
		case "nr_periods":
			d.periods = some(n)
		case "nr_throttled":
			d.throttled = some(n)
		case "throttled_usec":
			d.throttledTime = some(n * 1000)
		}
	})
	quota, period, _ := strings.Cut(strings.TrimSpace(string(g.bytes("cpu.max"))), " ")
	if n, err := strconv.ParseUint(period, 10, 64); err == nil {
		d.period = some(n)
	}
	if n, err := strconv.ParseUint(quota, 10, 64); err == nil { // else "max"
		d.quota = some(n)
	}
	if weight, ok := g.number("cpu.weight"); ok {
		d.shares = some(sharesOf(weight))
	}
}

// sharesOf turns a weight of version 2 (1..10000) back into the shares of
// version 1 (2..262144) that container runtimes are configured with. They map
// them linearly: weight = 1 + (shares-2) * 9999 / 262142 (Kubernetes KEP-2254).
func sharesOf(weight uint64) uint64 {
	if weight == 0 {
		return 0
	}
	return 2 + (weight-1)*262142/9999
}

// parseIOStat reads lines "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6".
func parseIOStat(text string) []device {
	operations := map[string]string{"r": "Read", "w": "Write", "d": "Discard"}
	var devices []device
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		d := newDevice(fields[0])
		for _, field := range fields[1:] {
			key, number, _ := strings.Cut(field, "=")
			n, err := strconv.ParseUint(number, 10, 64)
			if err != nil || key == "" {
				continue
			}
			switch operation, kind := operations[key[:1]], key[1:]; {
			case operation != "" && kind == "bytes":
				d.bytes[operation] = n
			case operation != "" && kind == "ios":
				d.count[operation] = n
			}
		}
		devices = append(devices, d)
	}
	return devices
}
