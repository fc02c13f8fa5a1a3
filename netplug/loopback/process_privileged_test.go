//go:build privileged

package loopback

import (
	"testing"

	"github.com/mascri/mascri/netplug/netns/netnstest"
	"github.com/mascri/mascri/spec"
	"github.com/mascri/mascri/test/straced"
)

func TestMain(m *testing.M) {
	straced.Main(m, map[string]func() spec.Plugin{"loopback": Plugin})
}

// execution is the plugin as a process.
func execution(t *testing.T, command, netns string) straced.Execution {
	t.Helper()
	return straced.Execution{
		Path:   straced.Link(t, t.TempDir(), "loopback"),
		Env:    []string{"CNI_COMMAND=" + command, "CNI_CONTAINERID=c", "CNI_NETNS=" + netns, "CNI_IFNAME=lo"},
		Config: config,
	}
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
				killed := execution(t, change.command, pod).KilledAt(t, change.syscallName, n)
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
