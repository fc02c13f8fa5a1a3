package cri

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mascri/mascri/cri/docker"
	"github.com/mascri/mascri/cri/stats"
)

// hugepageSize is a page size as the kernel spells it in hugetlb.2MB.max.
var hugepageSize = regexp.MustCompile(`^[1-9][0-9]*(KB|MB|GB)$`)

// unifiedName is a file of cgroup version 2: controller, dot, name.
var unifiedName = regexp.MustCompile(`^[a-z]+(\.[a-zA-Z0-9_-]+)+$`)

// checkLimits refuses limits that this engine or machine cannot set and would
// leave out without a word. field is the resources' place in the request.
func (c *containers) checkLimits(ask facts, field string, r *runtimeapi.LinuxContainerResources) error {
	if c.config.RemoteEngine && hasOwnLimits(r) {
		return unsupported(field+"unified and hugepage_limits", "the control groups are on another machine with the engine")
	}
	unified, swap := len(r.GetUnified()) > 0, r.GetMemorySwapLimitInBytes()
	swaps := swap > 0 && swap != r.GetMemoryLimitInBytes()
	if !unified && !swaps {
		return nil
	}
	info, err := ask()
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

// ownGroup is where the limits of a running container are that Docker's API has
// no field for: its directory in the version 1 hierarchy that limits huge pages,
// and its directory in version 2; "" where there is none.
type ownGroup struct{ v1, v2 string }

func (c *containers) ownGroup(w workload) (ownGroup, error) {
	v1, v2, err := c.stats.Directories(stats.Target{ID: w.ID, PID: w.PID}, "hugetlb")
	return ownGroup{v1, v2}, err
}

// hugepages is the file of a page size's limit, "" where nothing limits them.
func (g ownGroup) hugepages(size string) string {
	switch {
	case g.v1 != "":
		return filepath.Join(g.v1, "hugetlb."+size+".limit_in_bytes")
	case g.v2 != "":
		return filepath.Join(g.v2, "hugetlb."+size+".max")
	}
	return ""
}

// gone tells whether the group was removed since it was found.
func (g ownGroup) gone() bool {
	if g == (ownGroup{}) {
		return false
	}
	_, err := os.Stat(g.v1 + g.v2) // one of them
	return errors.Is(err, fs.ErrNotExist)
}

// writeCgroup sets a running container's limits of huge pages, and the files of
// cgroup version 2 that the request names. The error is docker.ErrNotRunning when
// the container has ended meanwhile.
func (c *containers) writeCgroup(w workload, r *runtimeapi.LinuxContainerResources) error {
	if len(r.GetUnified())+len(r.GetHugepageLimits()) == 0 {
		return nil
	}
	group, err := c.ownGroup(w)
	if errors.Is(err, stats.ErrGone) {
		return fmt.Errorf("%w: %w", docker.ErrNotRunning, err)
	}
	if err == nil {
		err = group.write(r)
	}
	if err != nil && group.gone() {
		return fmt.Errorf("%w: %w", docker.ErrNotRunning, err)
	}
	return err
}

func (g ownGroup) write(r *runtimeapi.LinuxContainerResources) error {
	for name, value := range r.GetUnified() {
		if g.v2 == "" {
			return unsupported("resources.unified", "the host runs cgroup version 1")
		}
		if err := setLimit(filepath.Join(g.v2, name), value); err != nil {
			return fmt.Errorf("resources.unified[%q] = %q: %w", name, value, err)
		}
	}
	for _, limit := range r.GetHugepageLimits() {
		file := g.hugepages(limit.GetPageSize())
		if file == "" && limit.GetLimit() == 0 {
			continue // see below
		}
		if file == "" {
			return unsupported("resources.hugepage_limits", "the host has no hugetlb controller")
		}
		err := setLimit(file, strconv.FormatUint(limit.GetLimit(), 10))
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

// setLimit writes a file of a control group. It does not ask for one that is not
// there to be made, as os.WriteFile does: the kernel calls that forbidden, and not
// missing.
func setLimit(file, value string) error {
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

// read brings r up to date with the kernel, which rounds limits to pages: what
// it holds now of the page sizes and files that were asked for at create. The
// kubelet updates a container with the names that it created it with. What
// cannot be read stays as it was asked for: the container may just have ended.
func (g ownGroup) read(r *runtimeapi.LinuxContainerResources) {
	limits, unified := r.GetHugepageLimits(), r.GetUnified()
	r.HugepageLimits, r.Unified = nil, maps.Clone(unified)
	for _, limit := range limits {
		now := limit.GetLimit()
		text, err := os.ReadFile(g.hugepages(limit.GetPageSize()))
		if n, numberErr := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64); err == nil && numberErr == nil {
			now = n
		}
		r.HugepageLimits = append(r.HugepageLimits, &runtimeapi.HugepageLimit{PageSize: limit.GetPageSize(), Limit: now})
	}
	for name := range unified {
		if text, err := os.ReadFile(filepath.Join(g.v2, name)); err == nil && g.v2 != "" {
			r.Unified[name] = strings.TrimSpace(string(text))
		}
	}
}
