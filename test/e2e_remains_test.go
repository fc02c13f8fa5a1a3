//go:build e2e && linux

package test

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mascri/mascri/cri/docker"
)

// leasesDir is where package ipam keeps the default network's leases.
const leasesDir = "/var/lib/cni/networks/mascri"

// remains is everything on the machine that belongs to pods, by kind. The
// machine is ours alone, so nothing has to be told apart.
func (n *node) remains() map[string][]string {
	n.t.Helper()
	return map[string][]string{
		"containers":             n.containers(),
		"veth pairs":             n.veths(),
		"leases":                 n.leases(),
		"pinned namespaces":      n.entries(filepath.Join(n.dir, "run", "netns")),
		"mounts of namespaces":   n.namespaceMounts(),
		"packet-filter elements": n.filterElements(),
		"records of ADD":         n.cacheRecords(),
	}
}

// assertNothingLeft fails the test once for each kind of thing that is left.
func (n *node) assertNothingLeft() {
	n.t.Helper()
	for kind, left := range n.remains() {
		if len(left) > 0 {
			n.t.Errorf("%s left behind: %s", kind, strings.Join(left, ", "))
		}
	}
}

// containers lists all of the engine's containers, past the daemon.
func (n *node) containers() (ids []string) {
	n.t.Helper()
	ctx, cancel := testContext()
	defer cancel()
	engine, err := docker.Connect(ctx, "")
	if err != nil {
		n.t.Fatal(err)
	}
	defer engine.Close() // it only read
	all, err := engine.List(ctx, nil)
	if err != nil {
		n.t.Fatal(err)
	}
	for _, c := range all {
		ids = append(ids, c.Name)
	}
	return ids
}

// veths lists the host ends of veth pairs. Docker's own and the tests' way to
// the outside have other names.
func (n *node) veths() (names []string) {
	n.t.Helper()
	links, err := net.Interfaces()
	if err != nil {
		n.t.Fatal(err)
	}
	for _, link := range links {
		if strings.HasPrefix(link.Name, "veth") {
			names = append(names, link.Name)
		}
	}
	return names
}

// leases lists the addresses that are held, as files of package ipam are named.
func (n *node) leases() (held []string) {
	n.t.Helper()
	for _, name := range n.entries(leasesDir) {
		if net.ParseIP(name) != nil {
			held = append(held, name)
		}
	}
	return held
}

// namespaceMounts lists the mounts of network namespaces (nsfs) that came with
// pods: neither Docker's own, nor the tests' outside, nor what this machine's
// mount namespace inherited.
func (n *node) namespaceMounts() (paths []string) {
	n.t.Helper()
	all, err := nsfsMounts()
	if err != nil {
		n.t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(path string) bool {
		return strings.Contains(path, "/docker/") || path == outsidePath || slices.Contains(inheritedMounts, path)
	})
}

// inheritedMounts are the mounts of namespaces that were there before any pod.
var inheritedMounts []string

// nsfsMounts lists where namespaces are mounted (proc_pid_mountinfo(5)).
func nsfsMounts() (paths []string, err error) {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(table)) {
		if fields := strings.Fields(line); len(fields) > 4 && strings.Contains(line, " - nsfs ") {
			paths = append(paths, fields[4])
		}
	}
	return paths, nil
}

// filterElements lists the elements and chains of pods in our tables. An
// element of a whole network has a comment with one hash, a pod's with two.
func (n *node) filterElements() (found []string) {
	n.t.Helper()
	ctx, cancel := testContext()
	defer cancel()
	ruleset := output(n.t, ctx, "nft", "-j", "list", "ruleset")
	var listing struct {
		Nftables []struct {
			Chain *struct{ Table, Name string }
			Map   *struct {
				Table, Name string
				Elem        []json.RawMessage
			}
		}
	}
	if err := json.Unmarshal([]byte(ruleset), &listing); err != nil {
		n.t.Fatalf("nft -j list ruleset: %v", err)
	}
	for _, object := range listing.Nftables {
		if c := object.Chain; c != nil && c.Table == "mascri" && strings.HasPrefix(c.Name, "pod-") {
			found = append(found, "chain "+c.Name)
		}
		if m := object.Map; m != nil && m.Table == "mascri" {
			for _, element := range m.Elem {
				found = append(found, m.Name+" "+string(element))
			}
		}
	}
	return found
}

// cacheRecords lists libcni's records of finished ADDs.
func (n *node) cacheRecords() []string {
	n.t.Helper()
	return n.entries(filepath.Join(n.dir, "state", "cni", "results"))
}

// entries lists a directory; one that does not exist is empty.
func (n *node) entries(dir string) (names []string) {
	n.t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		n.t.Fatal(err)
	}
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}
