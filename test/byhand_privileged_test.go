//go:build privileged && linux

package test

import (
	"context"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mascri/mascri/cmd/mascri/ping"
)

// runBlock is a shell block that its document promises to work.
var runBlock = regexp.MustCompile("(?ms)^```sh run\n(.*?)^```$")

// chapter reads a document and the shell blocks in it.
func chapter(t *testing.T, name string) (text string, blocks []string) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, "docs", name))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range runBlock.FindAllStringSubmatch(string(content), -1) {
		blocks = append(blocks, m[1])
	}
	if len(blocks) == 0 {
		t.Fatalf("%s has no shell block to run", name)
	}
	return string(content), blocks
}

// The main thread is kept out of it (runtime.LockOSThread, about init). The
// runtime cannot end that one, so a test that ran on it would leave its namespaces
// as those that /proc/self shows.
func init() { runtime.LockOSThread() }

// enterNamespaces moves the test's goroutine to network and mount namespaces of
// its own. Its thread is never unlocked: the runtime ends it, and them, with the
// test.
func enterNamespaces(t *testing.T) {
	t.Helper()
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWNS); err != nil {
		t.Fatalf("unshare: %v (needs CAP_SYS_ADMIN)", err)
	}
	typeIn(t, "mount --make-rprivate /; for dir in /run /tmp; do mount -t tmpfs tmpfs $dir; done; ip link set lo up")
}

// TestChaptersWork types the commands of the chapters about the plugins, in a
// directory that has the programs where make build puts them.
func TestChaptersWork(t *testing.T) {
	dir, err := os.MkdirTemp("/var/tmp", "mascri-chapters-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // in the test's own directory
	build := exec.CommandContext(t.Context(), "make", "plugins", "BIN="+filepath.Join(dir, "bin"))
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the plugins: %v\n%s", err, out)
	}
	for name, wants := range map[string][]string{
		"4-the-protocol.md": {`"address": "10.9.0.2/24"`, "refused: 1", "is the namespace that the plugin runs in"},
		"5-addresses.md":    {"10.9.0.2", "a\r\neth0"},
	} {
		t.Run(name, func(t *testing.T) {
			_, blocks := chapter(t, name)
			enterNamespaces(t)
			out := typeIn(t, "cd "+dir+"\n"+strings.Join(blocks, ""))
			for _, want := range wants {
				if !strings.Contains(out, want) {
					t.Errorf("no %q in what the chapter's commands say:\n%s", want, out)
				}
			}
		})
	}
}

// typeIn runs shell commands in the calling thread's namespaces, and returns what
// they say.
func typeIn(t *testing.T, commands string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "sh", "-euc", commands).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s\nthe commands were:\n%s", err, out, commands)
	}
	return string(out)
}

// TestByHandWorks types the chapter in network and mount namespaces of its own,
// and pings along the cables before it takes them away.
func TestByHandWorks(t *testing.T) {
	_, blocks := chapter(t, "1-by-hand.md")
	enterNamespaces(t)
	last := len(blocks) - 1
	typeIn(t, strings.Join(blocks[:last], ""))
	for _, path := range []struct{ from, to string }{
		{"/run/netns/a", "10.9.0.3"}, {"/run/netns/b", "10.9.0.2"}, {"", "10.9.0.2"}, {"/run/netns/a", "10.9.0.1"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		if _, err := ping.From(ctx, path.from, netip.MustParseAddr(path.to)); err != nil {
			t.Errorf("from %q: %v", path.from, err)
		}
		cancel()
	}
	typeIn(t, blocks[last]+`test -z "$(ip -br link show type veth)$(ip netns list)"`)
}

// TestByHandIsThePlan compares the chapter's lines with what mascri plan prints.
func TestByHandIsThePlan(t *testing.T) {
	text, _ := chapter(t, "1-by-hand.md")
	ips := map[string]string{"a": "", "b": "mascri/ips=10.9.0.3/24"}
	for pod, annotation := range ips {
		arguments := []string{"run", "-buildvcs=false", "./cmd/mascri", "plan", "--conf", "docs/examples/by-hand.conflist",
			"--container-id", pod, "--netns", "/run/netns/" + pod, "--annotation", annotation}
		plan := exec.CommandContext(t.Context(), "go", arguments...)
		plan.Dir = root
		out, err := plan.Output()
		if err != nil {
			t.Fatalf("go %v: %v", arguments, err)
		}
		for line := range strings.Lines(string(out)) {
			if !strings.HasPrefix(line, "#") && !strings.Contains(text, "\n"+line) {
				t.Errorf("pod %s: the plan has a line that the chapter has not:\n%s", pod, line)
			}
		}
	}
}
