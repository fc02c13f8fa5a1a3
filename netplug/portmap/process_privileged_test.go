//go:build privileged

package portmap

import (
	"strings"
	"testing"

	"github.com/mascri/mascri/spec"
	"github.com/mascri/mascri/test/straced"
)

func TestMain(m *testing.M) {
	straced.Main(m, map[string]func() spec.Plugin{"portmap": Plugin})
}

// execution is the plugin as a process.
func (l *lab) execution(command, id, config string) straced.Execution {
	l.Helper()
	return straced.Execution{Path: straced.Link(l, l.TempDir(), "portmap"), Env: l.environment(command, id), Config: config}
}

// TestKilledAnywhere kills each command that changes something before each
// system call that does. One DEL or GC later nothing of the container is left,
// and one ADD later its host port is there; another container's stays.
func TestKilledAnywhere(t *testing.T) {
	if testing.Short() {
		t.Skip("strace of the race detector's own system calls takes minutes; the code runs in other tests, too")
	}
	const maxCalls = 80
	victim, other := config(tcp8080), config(strings.ReplaceAll(tcp8080, "8080", "8081"))
	gc := strings.Replace(victim, `{`, `{"cni.dev/valid-attachments":[{"containerID":"other","ifname":"eth0"}],`, 1)
	for _, syscallName := range []string{"sendmsg", "sendto", "write"} {
		for _, command := range []string{"first ADD", "ADD", "DEL", "GC"} {
			t.Run(command+" at "+syscallName, func(t *testing.T) {
				l := newLab(t)
				kills := 0
				for n := 1; ; n++ {
					if n > maxCalls {
						t.Fatalf("%s is still at it after %d times %s", command, maxCalls, syscallName)
					}
					verb, killConfig := command, victim
					switch command {
					case "first ADD":
						verb = "ADD"
						l.run("nft flush ruleset; sysctl -qw net/ipv4/conf/br0/route_localnet=0")
					case "GC":
						killConfig = gc
						l.ok("ADD", "victim", victim)
					case "DEL":
						l.ok("ADD", "victim", victim)
					}
					if command != "first ADD" {
						l.ok("ADD", "other", other)
					}
					killed := l.execution(verb, "victim", killConfig).KilledAt(l, syscallName, n)
					l.recovers(n, victim, gc)
					if command != "first ADD" {
						l.ok("CHECK", "other", other)
					}
					if !killed {
						break
					}
					kills++
				}
				t.Logf("killed %d times", kills)
			})
		}
	}
}

// recovers is what must hold after any kill.
func (l *lab) recovers(n int, victim, gc string) {
	l.Helper()
	if n%2 == 0 {
		l.ok("GC", "", gc)
	} else {
		l.ok("DEL", "victim", victim)
	}
	if left := l.run("nft list ruleset"); strings.Contains(left, "victim") || strings.Contains(left, " 8080 ") {
		l.Fatalf("kill %d: left:\n%s", n, left)
	}
	l.ok("ADD", "victim", victim)
	l.ok("CHECK", "victim", victim)
	l.ok("DEL", "victim", victim)
}
