package docker

import (
	"context"

	"github.com/docker/docker/api/types/container"
)

// Resources are the limits of a container's cgroup. A zero field sets nothing
// at create and changes nothing at update.
type Resources struct {
	CPUShares   int64  // relative weight, 2 to 262144
	CPUPeriod   int64  // microseconds
	CPUQuota    int64  // microseconds of CPU time a period; -1 is no limit
	CpusetCPUs  string // "0-2,4"
	CpusetMems  string // "0,1"
	Memory      int64  // bytes
	MemorySwap  int64  // bytes of memory and swap together; -1 is no limit
	OOMScoreAdj int    // -1000 to 1000; at create only
}

// apply writes the limits into host.
func (r Resources) apply(host *container.HostConfig) {
	host.CPUShares = r.CPUShares
	host.CPUPeriod = r.CPUPeriod
	host.CPUQuota = r.CPUQuota
	host.CpusetCpus = r.CpusetCPUs
	host.CpusetMems = r.CpusetMems
	host.Memory = r.Memory
	host.MemorySwap = r.MemorySwap
	if r.Memory > 0 && r.MemorySwap == 0 {
		// Docker would allow as much swap again as memory; the CRI's default
		// is a node that does not swap.
		host.MemorySwap = r.Memory
	}
}

func resourcesFrom(host *container.HostConfig) Resources {
	return Resources{
		CPUShares:   host.CPUShares,
		CPUPeriod:   host.CPUPeriod,
		CPUQuota:    host.CPUQuota,
		CpusetCPUs:  host.CpusetCpus,
		CpusetMems:  host.CpusetMems,
		Memory:      host.Memory,
		MemorySwap:  host.MemorySwap,
		OOMScoreAdj: host.OomScoreAdj,
	}
}

// Update changes the limits of a container, running or not.
func (e *Engine) Update(ctx context.Context, id string, r Resources) error {
	var host container.HostConfig
	r.apply(&host)
	return e.call(ctx, "update the resources of", id, func(ctx context.Context) error {
		answer, err := e.client.ContainerUpdate(ctx, id, container.UpdateConfig{Resources: host.Resources})
		for _, warning := range answer.Warnings {
			e.log.Warn("engine warns about a container it updated", "container", id, "warning", warning)
		}
		return err
	})
}
