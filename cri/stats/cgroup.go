package stats

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// ErrGone means that a container has no process or no control group any more.
var ErrGone = errors.New("not running any more")

// errNoCgroups means that this machine does not show its control groups.
var errNoCgroups = errors.New("no control group file system is mounted")

// hierarchies are the mounted control group trees. A controller ("memory",
// "cpuacct") is in a tree of version 1, or in the unified tree of version 2.
type hierarchies struct {
	v1      map[string]mount
	unified mount
}

// mount is a place where a tree, or its part below root, is mounted.
type mount struct{ root, point string }

// groups are the directories that one container's figures are in. In hybrid
// mode a container has both: its resources are in version 1, its pressure in the
// unified tree.
type groups struct {
	v1      map[string]string
	unified string
	files   *openFiles
}

// parent is the control group above, a pod's when the engine was given one.
func (g groups) parent() groups {
	up := groups{v1: make(map[string]string, len(g.v1)), files: newOpenFiles()}
	for controller, path := range g.v1 {
		up.v1[controller] = filepath.Dir(path)
	}
	if g.unified != "" {
		up.unified = filepath.Dir(g.unified)
	}
	return up
}

// findHierarchies reads /proc/self/mountinfo (proc_pid_mountinfo(5)).
func findHierarchies(proc string) (hierarchies, error) {
	file, err := os.Open(filepath.Join(proc, "self", "mountinfo"))
	if err != nil {
		return hierarchies{}, fmt.Errorf("find control groups: %w", err)
	}
	defer func() { _ = file.Close() }() // read only
	h := hierarchies{v1: make(map[string]mount)}
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		h.add(lines.Text())
	}
	if err := lines.Err(); err != nil {
		return hierarchies{}, fmt.Errorf("find control groups: %w", err)
	}
	if len(h.v1) == 0 && h.unified.point == "" {
		return hierarchies{}, errNoCgroups
	}
	return h, nil
}

// add takes the line if it is a control group mount:
//
//	35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory
//
// with any number of optional fields before the dash.
func (h *hierarchies) add(line string) {
	before, after, ok := strings.Cut(line, " - ")
	fields, kind := strings.Fields(before), strings.Fields(after)
	if !ok || len(fields) < 6 || len(kind) < 3 {
		return
	}
	m := mount{root: unescape(fields[3]), point: unescape(fields[4])}
	switch kind[0] {
	case "cgroup2":
		if h.unified.point == "" {
			h.unified = m
		}
	case "cgroup":
		for option := range strings.SplitSeq(kind[2], ",") {
			if _, taken := h.v1[option]; !taken {
				h.v1[option] = m
			}
		}
	}
}

// unescape undoes the octal escapes of blanks and backslashes in mountinfo.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+4 <= len(s) {
			if code, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(code))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// find maps the lines of /proc/PID/cgroup (cgroups(7)), "9:memory:/docker/ID"
// or "0::/docker/ID", to directories below root.
func (h hierarchies) find(text, root string) groups {
	g := groups{v1: make(map[string]string), files: newOpenFiles()}
	for line := range strings.Lines(text) {
		parts := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(parts) != 3 {
			continue
		}
		controllers, path := parts[1], parts[2]
		if controllers == "" {
			g.unified = h.unified.directory(root, path)
			continue
		}
		for controller := range strings.SplitSeq(controllers, ",") {
			if place := h.v1[controller].directory(root, path); place != "" {
				g.v1[controller] = place
			}
		}
	}
	return g
}

// directory is where path of the tree is to be seen, "" if nowhere. A daemon in
// a control group namespace sees both with the same leading "/..".
func (m mount) directory(root, path string) string {
	if m.point == "" {
		return ""
	}
	below, ok := strings.CutPrefix(path, strings.TrimSuffix(m.root, "/"))
	if !ok || slices.Contains(strings.Split(below, "/"), "..") {
		return "" // outside what is mounted here
	}
	return filepath.Join(root, m.point, below)
}
