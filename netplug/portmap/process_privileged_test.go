//go:build privileged

package portmap

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/mascri/mascri/spec"
)

// The test binary is the plugin where it is started by its name.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "portmap" {
		runtime.LockOSThread() // strace counts a thread's system calls
		spec.Main(Plugin())
	}
	os.Exit(m.Run())
}

// killedAt runs the plugin as a process of its own that is killed before its
// n-th such system call. It is false when the plugin ended before.
func (l *lab) killedAt(syscallName string, n int, command, id, config string) bool {
	l.Helper()
	self, err := os.Executable()
	if err != nil {
		l.Fatal(err)
	}
	dir := l.TempDir()
	if err := os.Symlink(self, filepath.Join(dir, "portmap")); err != nil {
		l.Fatal(err)
	}
	log := filepath.Join(dir, "strace")
	cmd := exec.Command("strace", "-f", "-qq", "-o", log, "-e", "trace="+syscallName,
		"-e", "inject="+syscallName+":signal=KILL:when="+strconv.Itoa(n), filepath.Join(dir, "portmap"))
	cmd.Env, cmd.Stdin = l.environment(command, id), strings.NewReader(config)
	out, err := cmd.CombinedOutput()
	killed := strings.Contains(l.run("cat "+log), "+++ killed by SIGKILL +++")
	if err != nil && !killed {
		l.Fatalf("strace of %s: %v: %s", command, err, out)
	}
	return killed
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
					killed := l.killedAt(syscallName, n, verb, "victim", killConfig)
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
