package stats

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// links reads the interfaces of the namespace that the target's process is in:
// /proc shows them without entering it.
func (c *Collector) links(t Target) ([]link, error) {
	if _, err := c.cgroupText(t); err != nil {
		return nil, err
	}
	text, err := c.readProc(t.PID, "net/dev")
	if err != nil {
		return nil, err
	}
	return parseLinks(string(text))
}

// groups finds a container's control groups, once.
func (c *Collector) groups(t Target) (groups, error) {
	return c.remember(t.ID, func() (groups, error) {
		text, err := c.cgroupText(t)
		if err != nil {
			return groups{}, err
		}
		return c.hierarchies.find(text, c.root), nil
	})
}

// Directories are where a running container's limits are: in the version 1
// hierarchy of a controller, and in version 2; "" where there is none. Beside
// version 1, version 2 has no controllers and does not count. The error is
// ErrGone when the container is not running.
func (c *Collector) Directories(t Target, controller string) (v1, v2 string, err error) {
	g, err := c.groups(t)
	if err != nil {
		return "", "", fmt.Errorf("find the control group of container %s: %w", t.ID, err)
	}
	if len(g.v1) > 0 {
		return g.v1[controller], "", nil
	}
	return "", g.unified, nil
}

// podGroups finds the control groups above a sandbox's, once.
func (c *Collector) podGroups(p Pod) (groups, error) {
	return c.remember(p.key(), func() (groups, error) {
		g, err := c.groups(p.Sandbox)
		return g.parent(), err
	})
}

// remember returns what is known by key, or what find says.
func (c *Collector) remember(key string, find func() (groups, error)) (groups, error) {
	c.mu.Lock()
	g, ok := c.known[key]
	c.mu.Unlock()
	if ok {
		return g, nil
	}
	g, err := find()
	if err != nil {
		return groups{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if other, ok := c.known[key]; ok {
		return other, nil
	}
	c.known[key] = g
	return g, nil
}

// forget drops what is known by key and closes its files.
func (c *Collector) forget(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if g, ok := c.known[key]; ok {
		g.files.close()
		delete(c.known, key)
	}
}

// cgroupText reads the process's control groups, making sure that it is the
// container's: its number may be another process's by now.
func (c *Collector) cgroupText(t Target) (string, error) {
	text, err := c.readProc(t.PID, "cgroup")
	if err != nil {
		return "", err
	}
	if t.ID == "" || !strings.Contains(string(text), t.ID) {
		return "", fmt.Errorf("process %d is not in its control group: %w", t.PID, ErrGone)
	}
	return string(text), nil
}

func (c *Collector) readProc(pid int, name string) ([]byte, error) {
	data, err := os.ReadFile(filepath.Join(c.root, "proc", strconv.Itoa(pid), name))
	if isGone(err) {
		return nil, ErrGone
	}
	return data, err
}

// processes lists the control group's processes, without its children's.
func (g groups) processes() []string {
	d := &dir{path: g.tasksPath()}
	return strings.Fields(string(bytes.TrimSpace(d.bytes("cgroup.procs"))))
}

// tasksPath is a directory whose cgroup.procs names the processes.
func (g groups) tasksPath() string {
	for _, controller := range []string{"pids", "memory", "cpuacct"} {
		if path := g.v1[controller]; path != "" {
			return path
		}
	}
	return g.unified
}

// isGone: a process that ends while its files are read makes them fail with
// ESRCH instead of not existing.
func isGone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH)
}

// maxDescriptors bounds the files looked at to tell sockets from others: a
// server with a million connections must not make a scrape take seconds.
const maxDescriptors = 20_000

// countProcesses counts a container's processes and their open files. Those
// that end meanwhile are not counted.
func (c *Collector) countProcesses(d *detail, g groups) {
	budget := maxDescriptors
	for _, pid := range g.processes() {
		d.processes++
		path := filepath.Join(c.root, "proc", pid, "fd")
		files, err := os.ReadDir(path)
		if err != nil {
			continue
		}
		d.descriptors += uint64(len(files))
		for _, file := range files {
			if budget--; budget < 0 {
				break
			}
			if target, err := os.Readlink(filepath.Join(path, file.Name())); err == nil && strings.HasPrefix(target, "socket:") {
				d.sockets++
			}
		}
	}
}

// deviceName is a block device's file, "" where sysfs does not know it.
func (c *Collector) deviceName(d device) string {
	target, err := os.Readlink(filepath.Join(c.root, "sys/dev/block", d.major+":"+d.minor))
	if err != nil {
		return ""
	}
	return "/dev/" + filepath.Base(target)
}
