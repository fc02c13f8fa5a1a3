package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// weights are the plugins' most bytes, built for Linux on amd64 as `make build`
// does: a plugin is loaded for every pod. All aim at 4 MB; where netplug has more,
// and why, is in docs/measurements.md.
var weights = map[string]int64{"netplug": 4_730_000, "ipam": 4_000_000, "portmap": 4_000_000, "loopback": 4_000_000}

// heavy are packages that make every start slower, whether they are used or not.
var heavy = []string{"net/http", "crypto/tls", "crypto/x509", "regexp", "text/template", "html/template", "encoding/xml", "encoding/gob", "testing"}

// foreign are the only modules besides the standard library and
// golang.org/x that plugins are made of.
var foreign = []string{modulePath, "github.com/containernetworking/cni", "github.com/vishvananda/", "github.com/google/nftables", "github.com/mdlayher/"}

// goTool runs the go command for Linux on amd64.
func goTool(t *testing.T, args ...string) string {
	t.Helper()
	return forLinux(t, "go", args...)
}

func forLinux(t *testing.T, command string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), command, args...)
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v", command, strings.Join(args, " "), err)
	}
	return string(out)
}

// tooHeavy lists the packages of a plugin that it should do without.
func tooHeavy(packages []string) (complaints []string) {
	for _, p := range packages {
		domain, _, _ := strings.Cut(p, "/")
		ours := slices.ContainsFunc(foreign, func(prefix string) bool { return strings.HasPrefix(p, prefix) })
		if slices.Contains(heavy, p) || strings.Contains(domain, ".") && domain != "golang.org" && !ours {
			complaints = append(complaints, p+": a plugin starts for every pod: find a way without this package")
		}
	}
	return complaints
}

// TestPluginsAreLight holds the plugins to their dependencies and sizes.
func TestPluginsAreLight(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the plugins")
	}
	bin := t.TempDir()
	forLinux(t, "make", "plugins", "BIN="+bin)
	for plugin, most := range weights {
		report(t, tooHeavy(strings.Fields(goTool(t, "list", "-deps", "./cmd/"+plugin))))
		info, err := os.Stat(filepath.Join(bin, plugin))
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() > most {
			t.Errorf("%s has %d bytes, at most %d are allowed: go tool nm -size -sort size says what they are", plugin, info.Size(), most)
		}
	}
}

// TestPluginsAreLightCatches shows the rule what it forbids.
func TestPluginsAreLightCatches(t *testing.T) {
	allowed := []string{"net", "golang.org/x/sys/unix", modulePath + "/spec", "vendor/golang.org/x/net/dns/dnsmessage", "github.com/google/nftables/expr"}
	if complaints := tooHeavy(allowed); complaints != nil {
		t.Errorf("complaints about what is allowed: %q", complaints)
	}
	if complaints := tooHeavy([]string{"net/http", "go.opentelemetry.io/otel", "github.com/spf13/cobra"}); len(complaints) != 3 {
		t.Errorf("missed some of what is forbidden: %q", complaints)
	}
}
