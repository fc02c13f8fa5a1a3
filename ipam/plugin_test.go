package ipam

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mascri/mascri/spec"
)

// A node is a data directory, and the plugin as a runtime sees it.
type node struct {
	t    testing.TB
	dir  string
	ipam string // the config's other keys in ipam
	more string // the config's other keys
	args string // CNI_ARGS
}

func newNode(t testing.TB, ipam string) *node {
	return &node{t: t, dir: t.TempDir(), ipam: ipam}
}

const dualStack = `"ranges":[[{"subnet":"10.1.2.0/24"}],[{"subnet":"fd00::/64"}]]`

func (n *node) config() string {
	return fmt.Sprintf(`{"cniVersion":"1.1.0","name":"net",%s "ipam":{"type":"ipam","dataDir":%q,%s}}`, n.more, n.dir, n.ipam)
}

type answer struct {
	IPs []struct{ Address, Gateway string }
	DNS struct{ Nameservers []string }

	Code spec.Code
	Msg  string
}

func (a answer) addresses() string {
	var all []string
	for _, ip := range a.IPs {
		addr, _, _ := strings.Cut(ip.Address, "/")
		all = append(all, addr)
	}
	return strings.Join(all, " ")
}

func environment(command, id, ifName, args string) []string {
	return []string{"CNI_COMMAND=" + command, "CNI_CONTAINERID=" + id, "CNI_IFNAME=" + ifName, "CNI_NETNS=/var/run/netns/none", "CNI_ARGS=" + args, "CNI_PATH=/none"}
}

// run executes a verb for "ID" or "ID/IFNAME"; the interface is eth0 unless said.
func (n *node) run(command, owner string) answer {
	n.t.Helper()
	id, ifName, ok := strings.Cut(owner, "/")
	if !ok {
		ifName = "eth0"
	}
	var stdout, stderr bytes.Buffer
	code := Plugin().Run(context.Background(), environment(command, id, ifName, n.args), strings.NewReader(n.config()), &stdout, &stderr)
	var a answer
	if stdout.Len() > 0 {
		if err := json.Unmarshal(stdout.Bytes(), &a); err != nil {
			n.t.Fatalf("%s %s: %v in %s", command, owner, err, stdout.String())
		}
	}
	if (code != 0) != (a.Code != 0) {
		n.t.Fatalf("%s %s: exit code %d with %s", command, owner, code, stdout.String())
	}
	return a
}

// must runs a verb that has to succeed and returns the addresses.
func (n *node) must(command, owner string) string {
	n.t.Helper()
	a := n.run(command, owner)
	if a.Code != 0 {
		n.t.Fatalf("%s %s: code %d: %s", command, owner, a.Code, a.Msg)
	}
	return a.addresses()
}

// fails runs a verb that has to fail so.
func (n *node) fails(command, owner string, code spec.Code, msg string) {
	n.t.Helper()
	a := n.run(command, owner)
	if a.Code != code || !strings.Contains(a.Msg, msg) {
		n.t.Fatalf("%s %s: code %d %q, want %d with %q", command, owner, a.Code, a.Msg, code, msg)
	}
}

func (n *node) path(name string) string { return filepath.Join(n.dir, "net", name) }

// write makes a file as host-local does, in the lease directory.
func (n *node) write(name, content string) {
	n.t.Helper()
	if err := os.MkdirAll(n.path(""), 0o755); err != nil {
		n.t.Fatal(err)
	}
	if err := os.WriteFile(n.path(name), []byte(content), 0o600); err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) remove(name string) {
	n.t.Helper()
	if err := os.RemoveAll(n.path(name)); err != nil {
		n.t.Fatal(err)
	}
}

// leases reads the directory as host-local would: address=owner, sorted.
func (n *node) leases() []string {
	n.t.Helper()
	entries, err := os.ReadDir(n.path(""))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		n.t.Fatal(err)
	}
	found := []string{}
	for _, entry := range entries {
		if _, ok := leaseAddr(entry.Name()); !ok || !entry.Type().IsRegular() {
			continue
		}
		content, err := os.ReadFile(n.path(entry.Name()))
		if err != nil {
			n.t.Fatal(err)
		}
		found = append(found, entry.Name()+"="+strings.ReplaceAll(string(content), "\r\n", "/"))
	}
	slices.Sort(found)
	return found
}

func (n *node) holds(want ...string) {
	n.t.Helper()
	slices.Sort(want)
	if got := n.leases(); !slices.Equal(got, want) {
		n.t.Fatalf("leases %v, want %v", got, want)
	}
}

// tree wants exactly these files and directories in the data directory.
func (n *node) tree(want ...string) {
	n.t.Helper()
	found := []string{}
	err := filepath.WalkDir(n.dir, func(path string, _ fs.DirEntry, err error) error {
		if path != n.dir && err == nil {
			found = append(found, strings.TrimPrefix(path, n.dir+"/"))
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		n.t.Fatal(err)
	}
	if !slices.Equal(found, want) && len(found)+len(want) > 0 {
		n.t.Fatalf("the data directory holds %q, want %q", found, want)
	}
}

// valid sets GC's list.
func (n *node) valid(owners ...string) {
	list := []spec.Attachment{}
	for _, owner := range owners {
		id, ifName, _ := strings.Cut(owner, "/")
		list = append(list, spec.Attachment{ContainerID: id, IfName: ifName})
	}
	text, err := json.Marshal(list)
	if err != nil {
		n.t.Fatal(err)
	}
	n.more = `"cni.dev/valid-attachments":` + string(text) + `,`
}

// consistent opens the store twice: what the index says must be what the files
// say, and nothing may be left that belongs to no lease.
func (n *node) consistent() {
	n.t.Helper()
	s, err := openStore(context.Background(), n.dir, "net")
	if err != nil {
		n.t.Fatal(err)
	}
	if s == nil { // the network has no directory: then it has no index either
		n.tree()
		return
	}
	defer s.Close()
	if !s.index.sealed() || s.indexErr != nil {
		n.t.Fatalf("the index is not sealed: %v", s.indexErr)
	}
	all, err := s.scan()
	if err != nil {
		n.t.Fatal(err)
	}
	count := 0
	for key, addrs := range all.owners {
		count += len(addrs)
		indexed, err := s.index.ownedBy(key)
		slices.SortFunc(indexed, func(a, b netip.Addr) int { return a.Compare(b) })
		slices.SortFunc(addrs, func(a, b netip.Addr) int { return a.Compare(b) })
		if err != nil || !slices.Equal(indexed, addrs) {
			n.t.Fatalf("%q holds %v, the index says %v %v", key, addrs, indexed, err)
		}
	}
	for dir, want := range map[string]int{s.index.ownersDir(): len(all.owners), s.index.bootDir(): count} {
		if names, err := namesIn(dir); err != nil || len(names) != want {
			n.t.Fatalf("%s holds %v %v, want %d", dir, names, err, want)
		}
	}
	names, err := namesIn(s.index.usedDir())
	if err != nil {
		n.t.Fatal(err)
	}
	for _, name := range names {
		base, _ := leaseAddr(name)
		indexed, err := s.index.chunk(base)
		truth, truthErr := all.used.at(base)
		if err != nil || truthErr != nil || *indexed != *truth {
			n.t.Fatalf("bitmap of %s differs from the leases: %v", base, err)
		}
	}
}
