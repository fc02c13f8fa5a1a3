package stats

import cri "k8s.io/cri-api/pkg/apis/runtime/v1"

func value(n uint64) *cri.UInt64Value { return &cri.UInt64Value{Value: n} }

// cpuUsage is nil without a CPU controller. cores is nil while unknown.
func (u usage) cpuUsage(cores *cri.UInt64Value) *cri.CpuUsage {
	if !u.hasCPU {
		return nil
	}
	return &cri.CpuUsage{
		Timestamp:            u.at.UnixNano(),
		UsageCoreNanoSeconds: value(u.cpu),
		UsageNanoCores:       cores,
		Psi:                  u.cpuPressure,
	}
}

func (u usage) memoryUsage() *cri.MemoryUsage {
	if !u.hasMemory {
		return nil
	}
	return &cri.MemoryUsage{
		Timestamp:       u.at.UnixNano(),
		WorkingSetBytes: value(u.workingSet()),
		AvailableBytes:  left(u.memoryLimit, u.workingSet()),
		UsageBytes:      value(u.memory),
		RssBytes:        value(u.rss),
		PageFaults:      value(u.pageFaults),
		MajorPageFaults: value(u.majFaults),
		Psi:             u.memoryPressure,
	}
}

func (u usage) swapUsage() *cri.SwapUsage {
	if !u.hasSwap {
		return nil
	}
	return &cri.SwapUsage{
		Timestamp:          u.at.UnixNano(),
		SwapAvailableBytes: left(u.swapLimit, u.swap),
		SwapUsageBytes:     value(u.swap),
	}
}

func (u usage) ioUsage() *cri.IoUsage {
	if u.ioPressure == nil {
		return nil
	}
	return &cri.IoUsage{Timestamp: u.at.UnixNano(), Psi: u.ioPressure}
}

// networkUsage splits the links into the default one and the others.
func networkUsage(links []link, timestamp int64) *cri.NetworkUsage {
	usage := &cri.NetworkUsage{Timestamp: timestamp}
	for _, l := range links {
		i := &cri.NetworkInterfaceUsage{
			Name:     l.name,
			RxBytes:  value(l.rxBytes),
			RxErrors: value(l.rxErrors),
			TxBytes:  value(l.txBytes),
			TxErrors: value(l.txErrors),
		}
		if l.name == DefaultInterface {
			usage.DefaultInterface = i
		} else {
			usage.Interfaces = append(usage.Interfaces, i)
		}
	}
	return usage
}
