package test

import (
	"fmt"
	"go/ast"
	"os"
	"slices"
	"strings"
	"testing"
)

// A boundary keeps a library behind one package, or one package away from
// another: only files under Only may import what begins with a prefix of What.
type boundary struct {
	name  string
	what  []string // import path prefixes
	only  []string // directories whose files may import it; nil = none may
	from  []string // directories the rule is for; nil = the whole module
	tests bool     // whether _test.go files are held to it as well
}

// boundaries are the import rules of docs/architecture.md. Each of them makes a
// sentence of that page true; a wish to widen one is a wish to change the design.
var boundaries = []boundary{
	{name: "the Docker client stays in cri/docker, and its types with it",
		what: []string{"github.com/docker/docker", "github.com/docker/go-connections", "github.com/moby/"},
		only: []string{"cri/docker"}, tests: true},
	{name: "libcni is the CNI manager's, and the conformance suite's; tests may drive a plugin through it",
		what: []string{"github.com/containernetworking/cni/libcni"}, only: []string{"cri/podnet", "spec"}},
	{name: "netlink and nftables stay under netplug",
		what: []string{"github.com/vishvananda/netlink", "github.com/mdlayher/netlink", "github.com/google/nftables"},
		only: []string{"netplug"}},
	{name: "metrics are the daemon's, in one package: the library would make the plugins' starts slower",
		what: []string{"github.com/prometheus"}, only: []string{"cri/monitor"}},
	{name: "spec imports nothing of ours, so that a plugin author can take it alone",
		what: []string{modulePath}, only: []string{"spec"}, from: []string{"spec"}},
	{name: "ipam needs only the protocol",
		what: []string{modulePath}, only: []string{"spec", "ipam"}, from: []string{"ipam"}},
	{name: "netplug needs only the protocol",
		what: []string{modulePath}, only: []string{"spec", "netplug"}, from: []string{"netplug"}},
	{name: "cri takes of netplug no more than its way into a network namespace",
		what: []string{modulePath + "/netplug"}, only: []string{"netplug/netns"}, from: []string{"cri"}},
	{name: "cri reaches the plugins as processes, never as packages",
		what: []string{modulePath + "/ipam"}, from: []string{"cri"}},
	{name: "the plugins start no process but the delegate, which package spec starts",
		what: []string{"os/exec"}, from: []string{"netplug", "ipam", "cmd/netplug", "cmd/ipam"}},
}

// allows says whether the boundary lets a file of dir import what is at path.
// For packages of our own, Only lists what may be imported; for libraries, who may.
func (b boundary) allows(dir, imported string) bool {
	if own, ok := strings.CutPrefix(imported, modulePath); ok {
		return under(strings.TrimPrefix(own, "/"), b.only...)
	}
	return under(dir, b.only...)
}

// crossings lists the imports that a boundary forbids.
func (b boundary) crossings(sources []source) (complaints []string) {
	for _, s := range sources {
		if s.isTest() && !b.tests || b.from != nil && !under(s.dir(), b.from...) {
			continue
		}
		for imported := range s.imports() {
			guarded := slices.ContainsFunc(b.what, func(prefix string) bool { return strings.HasPrefix(imported, prefix) })
			if guarded && !b.allows(s.dir(), imported) {
				complaints = append(complaints, fmt.Sprintf("%s imports %s: %s", s.path, imported, b.name))
			}
		}
	}
	return complaints
}

// TestImportRules holds every file to every boundary.
func TestImportRules(t *testing.T) {
	sources := readSources(t)
	for _, b := range boundaries {
		report(t, b.crossings(sources))
	}
}

// TestImportRulesCatch shows each boundary a file that crosses it: a rule that
// nothing can break would pass for ever, also after a package was renamed.
func TestImportRulesCatch(t *testing.T) {
	for _, b := range boundaries {
		dir := "cmd/stray"
		if b.from != nil {
			dir = b.from[0]
		}
		imported := b.what[0]
		if imported == modulePath {
			imported += "/cri"
		}
		stray := parse(t, dir+"/stray.go", fmt.Sprintf("package stray\nimport _ %q\n", imported))
		if len(b.crossings([]source{stray})) != 1 {
			t.Errorf("%s: %s imports %s and nobody complains", b.name, stray.path, imported)
		}
	}
}

// namespaceCalls are the calls that move a thread into another network
// namespace, as import path and function. A thread left in the wrong one serves
// whatever goroutine comes next, hence one place, with one proof.
var namespaceCalls = map[string][]string{
	"golang.org/x/sys/unix":        {"Setns"},
	"github.com/vishvananda/netns": {"Set", "Setns"},
}

// setnsCalls lists the files, tests apart, that move a thread between namespaces.
func setnsCalls(sources []source) (files []string) {
	for _, s := range sources {
		if s.isTest() {
			continue
		}
		imports := s.imports()
		ast.Inspect(s.file, func(n ast.Node) bool {
			selector, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			for imported, functions := range namespaceCalls {
				ident, ok := selector.X.(*ast.Ident)
				if ok && imports[imported] == ident.Name && slices.Contains(functions, selector.Sel.Name) {
					files = append(files, s.path)
				}
			}
			return true
		})
	}
	slices.Sort(files)
	return slices.Compact(files)
}

// TestSetnsInOnePlace keeps the only dangerous system call of the project in one file.
func TestSetnsInOnePlace(t *testing.T) {
	if files := setnsCalls(readSources(t)); len(files) > 1 {
		t.Errorf("setns is called in %s: keep it in one file, the others call that", strings.Join(files, " and "))
	}
	stray := parse(t, "a/b.go", "package b\nimport \"golang.org/x/sys/unix\"\nvar _ = unix.Setns\n")
	if len(setnsCalls([]source{stray})) != 1 {
		t.Error("a file that calls unix.Setns goes unnoticed")
	}
}

// topLevel is all that a newcomer sees first; what is not here has a place below.
var topLevel = []string{"cmd", "cri", "netplug", "ipam", "spec", "test", "docs", "go.mod", "go.sum",
	"Makefile", "README.md", "LICENSE"}

// TestTopLevel keeps the root of the project readable at a glance. bin/ is what
// make build makes, and Git ignores it.
func TestTopLevel(t *testing.T) {
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		name := entry.Name()
		if !strings.HasPrefix(name, ".") && name != "bin" && !slices.Contains(topLevel, name) {
			t.Errorf("%s stands at the top level: move it below one of %s", name, strings.Join(topLevel, ", "))
		}
	}
}
