//go:build privileged

package loopback

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/mascri/mascri/netplug/netns/netnstest"
	"github.com/mascri/mascri/spec"
)

// The test binary is the plugin where it is started by its name.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "loopback" {
		runtime.LockOSThread() // strace counts a thread's system calls
		spec.Main(Plugin())
	}
	os.Exit(m.Run())
}

// killedAt runs the plugin as a process of its own that is killed before its
// n-th such system call. It is false when the plugin ended before.
func killedAt(t *testing.T, syscallName string, n int, command, netns string) bool {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	plugin, log := filepath.Join(dir, "loopback"), filepath.Join(dir, "strace")
	if err := os.Symlink(self, plugin); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("strace", "-f", "-qq", "-o", log, "-e", "trace="+syscallName,
		"-e", "inject="+syscallName+":signal=KILL:when="+strconv.Itoa(n), plugin)
	cmd.Env = []string{"CNI_COMMAND=" + command, "CNI_CONTAINERID=c", "CNI_NETNS=" + netns, "CNI_IFNAME=lo"}
	cmd.Stdin = strings.NewReader(config)
	out, err := cmd.CombinedOutput()
	seen, readErr := os.ReadFile(log)
	if readErr != nil {
		t.Fatal(readErr)
	}
	killed := strings.Contains(string(seen), "+++ killed by SIGKILL +++")
	if err != nil && !killed {
		t.Fatalf("strace of %s: %v: %s", command, err, out)
	}
	return killed
}

// TestKilledAnywhere kills ADD and DEL before each system call by which they
// change something, or say that they have. lo is then up or down, as before or
// as asked for; a DEL makes it down, an ADD and CHECK find it whole, and the
// node's own is as it was.
func TestKilledAnywhere(t *testing.T) {
	if testing.Short() {
		t.Skip("strace of the race detector's own system calls takes minutes; the code runs in other tests, too")
	}
	const maxCalls = 40
	for _, change := range []struct{ command, syscallName string }{{"ADD", "sendto"}, {"ADD", "write"}, {"DEL", "sendto"}} {
		t.Run(change.command+" at "+change.syscallName, func(t *testing.T) {
			node := netnstest.Enter(t)
			sh(t, node, "ip link set lo up")
			pod := netnstest.New(t)
			for n := 1; ; n++ {
				if n > maxCalls {
					t.Fatalf("%s is still at it after %d times %s", change.command, maxCalls, change.syscallName)
				}
				if change.command == "DEL" {
					must(t, "ADD", pod, config)
				}
				killed := killedAt(t, change.syscallName, n, change.command, pod)
				recovers(t, node, pod)
				if !killed {
					if n == 1 {
						t.Errorf("%s makes no %s: the test proves nothing", change.command, change.syscallName)
					}
					t.Logf("killed %d times", n-1)
					break
				}
			}
		})
	}
}

// recovers is what must hold after any kill.
func recovers(t *testing.T, node, pod string) {
	t.Helper()
	must(t, "DEL", pod, config)
	if isUp(t, pod) {
		t.Fatal("lo is up after DEL")
	}
	must(t, "CHECK", pod, withPrev(must(t, "ADD", pod, config)))
	must(t, "DEL", pod, config)
	if !isUp(t, node) {
		t.Fatal("the node's lo is down")
	}
}
