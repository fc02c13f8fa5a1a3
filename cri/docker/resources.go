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

// limits puts the resources in Docker's terms.
func (e *Engine) limits(r Resources) container.Resources {
	limits := container.Resources{
		CPUShares:  r.CPUShares,
		CPUPeriod:  r.CPUPeriod,
		CPUQuota:   r.CPUQuota,
		CpusetCpus: r.CpusetCPUs,
		CpusetMems: r.CpusetMems,
		Memory:     r.Memory,
	}
	switch {
	case !e.info.Load().SwapLimit: // the kernel would ignore it, and the engine warn
	case r.MemorySwap != 0:
		limits.MemorySwap = r.MemorySwap
	default:
		// Docker would allow as much swap again as memory; the CRI's default
		// is a node that does not swap.
		limits.MemorySwap = r.Memory
	}
	return limits
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
	limits := e.limits(r)
	return e.call(ctx, "update the resources of", id, func(ctx context.Context) error {
		answer, err := e.client.ContainerUpdate(ctx, id, container.UpdateConfig{Resources: limits})
		for _, warning := range answer.Warnings {
			e.log.Warn("engine warns about a container it updated", "container", id, "warning", warning)
		}
		return err
	})
}
