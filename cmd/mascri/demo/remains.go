package demo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/mascri/mascri/cri/docker"
)

// A remainder is one kind of thing that a pod leaves behind if it is not taken
// back, and which of them are there now.
type remainder struct {
	kind  string
	found []string
}

// remains looks for everything that belongs to the demonstration's pods, by
// reading only, and past the daemon: it asks the kernel, the disk and the engine.
func (d *demonstration) remains(ctx context.Context) ([]remainder, error) {
	containers, err := d.containers(ctx)
	if err != nil {
		return nil, err
	}
	rules, err := d.filterElements(ctx)
	if err != nil {
		return nil, err
	}
	ports := bridgePorts(ctx)
	pins, err := d.ofOurPods(netnsDir, func(name string) string { return name })
	if err != nil {
		return nil, err
	}
	leases, err := d.ofOurPods(leasesDir, func(name string) string {
		owner, err := os.ReadFile(filepath.Join(leasesDir, name))
		if err != nil {
			return "" // a directory, or gone this moment
		}
		return string(owner)
	})
	if err != nil {
		return nil, err
	}
	return []remainder{
		{"veth pairs on " + bridge, ports},
		{"leases", leases},
		{"pinned namespaces", pins},
		{"containers", containers},
		{"packet-filter elements", rules},
	}, nil
}

// mentions says whether a text names one of the demonstration's pods.
func (d *demonstration) mentions(text string) bool {
	for _, p := range d.pods {
		if strings.Contains(text, p.id) {
			return true
		}
	}
	return false
}

// ofOurPods lists a directory's entries whose owner is one of our pods.
func (d *demonstration) ofOurPods(dir string, owner func(name string) string) (found []string, err error) {
	all, err := names(dir)
	for _, name := range all {
		if d.mentions(owner(name)) {
			found = append(found, abbreviate(name))
		}
	}
	return found, err
}

// names lists a directory; one that does not exist is empty.
func names(dir string) (found []string, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, entry := range entries {
		found = append(found, entry.Name())
	}
	return found, err
}

// containers lists our pods' containers, running or not.
func (d *demonstration) containers(ctx context.Context) (found []string, err error) {
	engine, err := docker.Connect(ctx, "")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, engine.Close()) }()
	all, err := engine.List(ctx, nil)
	for _, c := range all {
		if d.mentions(c.ID) {
			found = append(found, abbreviate(c.ID))
		}
	}
	return found, err
}

// bridgePorts lists the host's ends of veth pairs; a bridge that is not there
// has none. Not from sysfs: it shows the namespace that it was mounted in.
func bridgePorts(ctx context.Context) (found []string) {
	links, err := exec.CommandContext(ctx, "ip", "-o", "link", "show", "master", bridge).Output()
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(links)) {
		if fields := strings.Fields(line); len(fields) > 1 {
			name, _, _ := strings.Cut(fields[1], "@")
			found = append(found, name)
		}
	}
	return found
}

// filterElements lists what the packet filter holds in the name of our pods.
func (d *demonstration) filterElements(ctx context.Context) (found []string, err error) {
	ruleset, err := exec.CommandContext(ctx, "nft", "list", "ruleset").Output()
	if err != nil {
		return nil, fmt.Errorf("nft list ruleset: %w", err)
	}
	for line := range strings.Lines(string(ruleset)) {
		if d.mentions(line) {
			element, _, _ := strings.Cut(strings.TrimSpace(line), " comment ")
			found = append(found, strings.TrimPrefix(element, "elements = { "))
		}
	}
	return found, nil
}

// abbreviate shortens a container's ID as docker ps does.
func abbreviate(name string) string {
	const idLength = 64
	if len(name) == idLength {
		return name[:12]
	}
	return name
}

// compare shows what was there while the pods ran and what is there now, and
// fails where anything is left, or where the first look saw nothing: then the
// second one proves nothing.
func (d *demonstration) compare(before, after []remainder) error {
	d.heading("what is left")
	var failures []error
	for i, b := range before {
		left := "nothing"
		if found := after[i].found; len(found) > 0 {
			left = strings.Join(found, " ")
			failures = append(failures, fmt.Errorf("%s: %s left behind", b.kind, left))
		}
		d.say("%-24s %s  →  %s", b.kind, strings.Join(b.found, " "), left)
		if len(b.found) == 0 {
			failures = append(failures, fmt.Errorf("%s: none was seen while the pods ran", b.kind))
		}
	}
	return errors.Join(failures...)
}
