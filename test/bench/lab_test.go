//go:build bench

package bench

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mascri/mascri/test/differential"
)

// node is a network namespace that stands for a node. Everything that is
// started from the test's goroutine runs in it.
type node struct {
	*testing.T
	ours, reference string // directories of plugins
	bare            string // a Go program that does nothing
	data            string
	pods            []*os.File // namespaces
}

// newNode moves the test's thread into a namespace that ends with the test.
func newNode(t *testing.T) *node {
	t.Helper()
	ours, reference, bare := programs(t)
	runtime.LockOSThread() // never unlocked: the namespace goes with the thread
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatalf("unshare the network namespace (needs root): %v", err)
	}
	n := &node{T: t, ours: ours, reference: reference, bare: bare, data: t.TempDir()}
	n.sh("ip link set lo up")
	own, err := os.Open("/proc/thread-self/ns/net") // it outlives the next node of this thread
	if err != nil {
		t.Fatal(err)
	}
	n.pods = append(n.pods, own)
	t.Cleanup(n.release)
	return n
}

// pod makes a network namespace and returns its path.
func (n *node) pod() string {
	n.Helper()
	opened := make(chan *os.File)
	go func() {
		runtime.LockOSThread() // and never unlocked
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			opened <- nil
			return
		}
		f, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			f = nil
		}
		opened <- f
	}()
	f := <-opened
	if f == nil {
		n.Fatal("make a pod's namespace")
	}
	n.pods = append(n.pods, f)
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), f.Fd())
}

// release closes the pods' namespaces. The kernel takes them down under the lock
// that every change of a link needs, so it is for the end of a comparison, and
// waits: otherwise whoever is measured next would wait instead.
func (n *node) release() {
	if len(n.pods) == 0 {
		return
	}
	n.sh("ip link add sentinel type veth peer name sentinel netns " + n.pod())
	for _, f := range n.pods {
		f.Close()
	}
	n.pods = nil
	for deadline := time.Now().Add(time.Minute); exec.Command("ip", "link", "show", "sentinel").Run() == nil; {
		if time.Now().After(deadline) {
			n.Fatal("the pods' namespaces are still there after a minute")
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (n *node) sh(command string) string {
	n.Helper()
	out, err := exec.Command("sh", "-ec", command).CombinedOutput()
	if err != nil {
		n.Fatalf("%s: %v\n%s", command, err, out)
	}
	return string(out)
}

// execution is one start of a plugin.
type execution struct {
	dir, plugin, command, id, netns, config string
}

// run starts the plugin and returns how long it took from fork to exit, and
// what it printed.
func (n *node) run(e execution) (time.Duration, string) {
	n.Helper()
	took, out, err := e.try()
	if err != nil {
		n.Fatalf("%s %s %s: %v\n%s", e.plugin, e.command, e.id, err, out)
	}
	return took, out
}

func (e execution) try() (time.Duration, string, error) {
	cmd := exec.Command(filepath.Join(e.dir, e.plugin)) // each plugin bounds its own waits
	cmd.Env = append(os.Environ(), "CNI_COMMAND="+e.command, "CNI_CONTAINERID="+e.id, "CNI_NETNS="+e.netns,
		"CNI_IFNAME=eth0", "CNI_PATH="+e.dir)
	cmd.Stdin = strings.NewReader(e.config)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	start := time.Now()
	err := cmd.Run()
	return time.Since(start), out.String(), err
}

// programs builds the plugins of both sides, ours as `make build` does, and the
// bare program.
func programs(t *testing.T) (ours, reference, bare string) {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	ours = filepath.Join(cache, "mascri", "bench", "ours")
	if reference, err = differential.InstallReference(t.Context()); err != nil {
		t.Fatal(err)
	}
	build(t, ours, "make", "-C", "../..", "plugins", "BIN="+ours)
	bare = filepath.Join(cache, "mascri", "bench", "bare")
	build(t, filepath.Dir(bare), "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", bare, "./testdata/bare")
	return ours, reference, bare
}

func build(t *testing.T, dir string, command ...string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOBIN="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(command, " "), err, out)
	}
}
