package cri

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// hugepageSize is a page size as the kernel spells it in hugetlb.2MB.max.
var hugepageSize = regexp.MustCompile(`^[1-9][0-9]*(KB|MB|GB)$`)

// unifiedName is a file of cgroup version 2: controller, dot, name.
var unifiedName = regexp.MustCompile(`^[a-z]+(\.[a-zA-Z0-9_-]+)+$`)

// cgroupMount is where the control groups are mounted, by file-hierarchy(7).
const cgroupMount = "/sys/fs/cgroup"

// checkLimits refuses limits that this engine or machine cannot set and would
// leave out without a word. field is the resources' place in the request.
func (c *containers) checkLimits(ctx context.Context, field string, r *runtimeapi.LinuxContainerResources) error {
	if c.config.RemoteEngine && hasOwnLimits(r) {
		return unsupported(field+"unified and hugepage_limits", "the control groups are on another machine with the engine")
	}
	unified, swap := len(r.GetUnified()) > 0, r.GetMemorySwapLimitInBytes()
	swaps := swap > 0 && swap != r.GetMemoryLimitInBytes()
	if !unified && !swaps { // asking would take longer than a create
		return nil
	}
	info, err := c.engine.Info(ctx)
	if err != nil {
		return err
	}
	switch {
	case unified && info.CgroupVersion != 2:
		return unsupported(field+"unified", "the host runs cgroup version 1")
	case swaps && !info.SwapLimit:
		return unsupported(field+"memory_swap_limit_in_bytes", "the kernel does not account swap (swapaccount=1)")
	}
	return nil
}

// hasOwnLimits tells whether there is a limit that writeCgroup has to set.
func hasOwnLimits(r *runtimeapi.LinuxContainerResources) bool {
	limits := func(l *runtimeapi.HugepageLimit) bool { return l.GetLimit() > 0 }
	return len(r.GetUnified()) > 0 || slices.ContainsFunc(r.GetHugepageLimits(), limits)
}

// writeCgroup sets the limits that Docker's API has no field for, in the control
// group of a running container: huge pages, and the files of cgroup version 2
// that the request names.
func writeCgroup(pid int, r *runtimeapi.LinuxContainerResources) error {
	if len(r.GetUnified())+len(r.GetHugepageLimits()) == 0 {
		return nil
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return fmt.Errorf("find the control group: %w", err)
	}
	v1, v2 := hugetlbGroup(string(text))
	for name, value := range r.GetUnified() {
		if v2 == "" {
			return unsupported("resources.unified", "the host runs cgroup version 1")
		}
		if err := os.WriteFile(filepath.Join(v2, name), []byte(value), 0); err != nil {
			return fmt.Errorf("resources.unified[%q] = %q: %w", name, value, err)
		}
	}
	for _, limit := range r.GetHugepageLimits() {
		if v1+v2 == "" && limit.GetLimit() == 0 {
			continue // see below
		}
		if v1+v2 == "" {
			return unsupported("resources.hugepage_limits", "the host has no hugetlb controller")
		}
		file := filepath.Join(v1, "hugetlb."+limit.GetPageSize()+".limit_in_bytes")
		if v1 == "" {
			file = filepath.Join(v2, "hugetlb."+limit.GetPageSize()+".max")
		}
		err := os.WriteFile(file, strconv.AppendUint(nil, limit.GetLimit(), 10), 0)
		// The kubelet sends a limit of 0 for each page size. Without the
		// controller there is nothing that could keep it, and nothing to keep.
		if errors.Is(err, fs.ErrNotExist) && limit.GetLimit() == 0 {
			continue
		}
		if err != nil {
			return fmt.Errorf("resources.hugepage_limits: %s: %w", limit.GetPageSize(), err)
		}
	}
	return nil
}

// hugetlbGroup reads /proc/PID/cgroup (cgroups(7)): the directory of the
// container in the version 1 hierarchy that limits huge pages, and its directory
// in version 2; "" where there is none. Beside version 1, version 2 has no
// controllers and does not count.
func hugetlbGroup(text string) (v1, v2 string) {
	hybrid := false
	for line := range strings.Lines(text) {
		_, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		controllers, path, _ := strings.Cut(rest, ":")
		switch {
		case controllers == "":
			v2 = filepath.Join(cgroupMount, path)
		case controllers == "hugetlb":
			v1, hybrid = filepath.Join(cgroupMount, "hugetlb", path), true
		default:
			hybrid = true
		}
	}
	if hybrid {
		v2 = ""
	}
	return v1, v2
}
