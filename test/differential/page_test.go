package differential

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/differences.md anew")

// page is where the accepted differences are documented.
var page = filepath.Join("..", "..", "docs", "differences.md")

// pageHead begins the page.
const pageHead = `# Differences from the reference plugins

netplug, ipam, portmap and loopback take the place of the reference plugins' bridge, host-local, portmap and loopback
(%s): the same configuration keys, results, files and effects. This page lists everything that a node will see that is
not the same. It is made from a table in ` + "`test/differential/accepted_test.go`" + `; the tests beside it run both
implementations through the same configurations and fail for a difference that is missing here, and for one that is
listed here and no longer occurs.

`

// render makes the page of the table.
func render(table []acceptance) string {
	var b strings.Builder
	fmt.Fprintf(&b, pageHead, ReferenceVersion)
	b.WriteString(renderClaims(claims))
	for _, subject := range subjects {
		fmt.Fprintf(&b, "## %s\n\n| the reference | ours | why |\n|---|---|---|\n", subject)
		for _, a := range table {
			if a.subject == subject {
				fmt.Fprintf(&b, "| %s | %s | %s |\n", a.reference, a.ours, a.why)
			}
		}
		b.WriteString("\n")
	}
	return b.String() + tried
}

// tried is what was run by hand: no test can install these.
const tried = `## Runtimes

The configurations that podman, CRI-O and containerd ship, and flannel's way to delegate, go through libcni in a test.
These runtimes were run themselves, with our plugins under the reference's names (` + "`make install-plugins DROP_IN=1`" + `):

| runtime | what was done | afterwards |
|---|---|---|
| podman 4.3.1, network backend CNI | A dual-stack network of its own with a published port, beside its default one; the reference's ` + "`firewall` and `tuning`" + ` in the chain; a second network connected and disconnected; restart. | No link, lease or host port is left. |
| containerd 1.6.20, its CRI with crictl | The configuration that its installation script writes, dual stack with ` + "`promiscMode` and `portmap`" + `; two pods, a host port. | No link, lease or host port is left. |
| flannel's plugin v1.9.1-flannel1 | See [Kubernetes](kubernetes.md#what-was-run). | Nothing is left. |
`

// TestPage compares the page with the table.
func TestPage(t *testing.T) {
	want := render(accepted)
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s does not say what accepted_test.go says: go test ./test/differential -run TestPage -update", page)
	}
}

// TestEveryAcceptanceIsExplained: an entry without a reason, or under a heading
// that the page does not have, would vanish from it.
func TestEveryAcceptanceIsExplained(t *testing.T) {
	for _, a := range accepted {
		if a.reference == "" || a.ours == "" || a.why == "" || a.name == nil && a.test == "" {
			t.Errorf("incomplete: %+v", a)
		}
		if n := strings.Count(render([]acceptance{a}), a.why); n != 1 {
			t.Errorf("%q stands %d times on the page", a.why, n)
		}
	}
}
