//go:build privileged

package netplug

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/mascri/mascri/test/straced"
)

// execution is the plugin as a process.
func (l *lab) execution(c call) straced.Execution {
	l.Helper()
	return straced.Execution{Path: filepath.Join(l.bin, "netplug"), Env: l.environment(c), Config: c.config}
}

// TestNoOtherProgramIsStarted counts execve: the plugin's own and, where the IPAM
// plugin is not on board, for each ADD and DEL the delegate's.
func TestNoOtherProgramIsStarted(t *testing.T) {
	eachWay(t, startedPrograms)
}

func startedPrograms(t *testing.T, linked bool) {
	want := []string{"/netplug", "/ipam"}
	if linked {
		want = want[:1]
	}
	l := newLab(t)
	l.linked = linked
	config := l.config(`"isDefaultGateway":true,"ipMasq":true,"macspoofchk":true,
		"runtimeConfig":{"portMappings":[{"hostPort":8080,"containerPort":80,"protocol":"tcp"}]},` + dual)
	pod := l.pod()
	for _, command := range []string{"ADD", "DEL"} {
		log, _ := l.execution(call{command: command, id: "a", netns: pod, config: config}).MustRun(l, "-e", "trace=execve,execveat")
		var started []string
		for _, m := range executed.FindAllStringSubmatch(log, -1) {
			started = append(started, m[1])
		}
		if !slices.Equal(started, want) {
			t.Errorf("%s started %q, expected %q:\n%s", command, started, want, log)
		}
	}
}

// executed is a program that strace's log says somebody tried to start; how that
// ended may stand on a later line.
var executed = regexp.MustCompile(`execve\("[^"]*(/[^/"]+)"`)

// TestTrafficDoesNotGrow compares what an ADD and a DEL say to the kernel and
// hear from it, in bytes, on a node without host ports and on one where another
// pod has 5,000: what it costs is to depend on the pod alone.
func TestTrafficDoesNotGrow(t *testing.T) {
	l := newLab(t)
	ports := func(first, count int) string {
		var all []string
		for i := range count {
			all = append(all, fmt.Sprintf(`{"hostPort":%d,"containerPort":80,"protocol":"tcp"}`, first+i))
		}
		return l.config(`"isDefaultGateway":true,"ipMasq":true,"runtimeConfig":{"portMappings":[` + strings.Join(all, ",") + `]},` + v4)
	}
	pod := l.pod()
	traffic := func(command string) int {
		log, _ := l.execution(call{command: command, id: "a", netns: pod, config: ports(8080, 2)}).MustRun(l, "-e", "trace=sendto,sendmsg,recvfrom,recvmsg")
		total := 0
		for _, m := range transferred.FindAllStringSubmatch(log, -1) {
			n, err := strconv.Atoi(m[1])
			if err != nil {
				t.Fatal(err)
			}
			total += n
		}
		return total
	}
	commands := []string{"ADD", "DEL"}
	traffic("ADD") // makes the bridge and our tables
	traffic("DEL")
	alone := map[string]int{}
	for _, command := range commands {
		alone[command] = traffic(command)
	}
	l.must(call{command: "ADD", id: "b", netns: l.pod(), config: ports(10000, 5000)})
	for _, command := range commands {
		n := traffic(command)
		t.Logf("%s: %d bytes alone, %d beside 5,000 host ports", command, alone[command], n)
		if alone[command] == 0 || n > alone[command]*5/4 {
			t.Errorf("%s exchanges %d bytes with the kernel, and %d beside 5,000 host ports", command, alone[command], n)
		}
	}
}

// transferred is what a system call of strace's log sent or received, in bytes.
var transferred = regexp.MustCompile(`(?m)= (\d+)$`)

// TestKilledAnywhere kills an ADD, a DEL and a GC before each system call that
// changes something: what the plugin sends to the kernel, and what its IPAM
// plugin does to files. The first ADD of a node makes the node's part as well.
// One DEL or GC later nothing may be left, and one ADD later everything must be
// there.
func TestKilledAnywhere(t *testing.T) {
	if testing.Short() {
		t.Skip("strace of the race detector's own system calls takes minutes; the code runs in other tests, too")
	}
	eachWay(t, killedAnywhere)
}

// eachWay runs a test with the IPAM plugin on board and as a program of its own.
func eachWay(t *testing.T, test func(t *testing.T, linked bool)) {
	t.Run("linked", func(t *testing.T) { test(t, true) })
	t.Run("executed", func(t *testing.T) { test(t, false) })
}

func killedAnywhere(t *testing.T, linked bool) {
	const maxCalls = 80
	for _, syscallName := range []string{"sendto", "sendmsg", "linkat", "renameat2", "unlinkat", "mkdirat", "write"} {
		for _, command := range []string{"first ADD", "ADD", "DEL", "GC"} {
			t.Run(command+" at "+syscallName, func(t *testing.T) {
				l := newLab(t)
				l.linked = linked
				config := l.config(`"isDefaultGateway":true,"ipMasq":true,"macspoofchk":true,
					"runtimeConfig":{"portMappings":[{"hostPort":8080,"containerPort":80,"protocol":"tcp"}]},` + dual)
				kills := 0
				// strace counts by thread, and which one makes a call is not the same
				// each time: two that are not killed are the end.
				for n, missed := 1, 0; missed < 2; n++ {
					if n > maxCalls {
						t.Fatalf("%s is still at it after %d times %s", command, maxCalls, syscallName)
					}
					if l.killedAt(command, syscallName, n, config) {
						kills++
					} else {
						missed++
					}
				}
				t.Logf("killed %d times", kills)
			})
		}
	}
}

// killedAt kills the command at the n-th such system call and looks at what can
// be made of the rest. It is false when the command ended before.
func (l *lab) killedAt(command, syscallName string, n int, config string) bool {
	l.Helper()
	add := call{command: "ADD", id: "a", netns: l.pod(), config: config}
	del, gc := add, call{command: "GC", config: strings.Replace(config, `{`, `{"cni.dev/valid-attachments":[],`, 1)}
	del.command = "DEL"
	victim := add
	switch command {
	case "first ADD":
		l.sh("ip link del br-lab 2>/dev/null || true; nft flush ruleset; find " + l.data + " -mindepth 1 -delete")
	case "DEL":
		l.must(add)
		victim = del
	case "GC":
		l.must(add)
		victim = gc
	}
	killed := l.execution(victim).KilledAt(l, syscallName, n)
	if n%2 == 0 && command != "DEL" {
		l.must(gc)
	} else {
		l.must(del)
	}
	if left := l.leftovers(); left != "" {
		l.Fatalf("killed at %s %d, left after DEL or GC:\n%s", syscallName, n, left)
	}
	added := l.must(add)
	l.must(call{command: "CHECK", id: "a", netns: add.netns, config: withPrev(l.T, config, added.stdout)})
	l.must(del)
	return killed
}

// TestFailedAnywhere lets each system call by which an ADD changes something, or
// learns of it, fail once. An ADD that fails has left nothing, without any DEL;
// one that got over it is whole.
func TestFailedAnywhere(t *testing.T) {
	if testing.Short() {
		t.Skip("strace of the race detector's own system calls takes minutes; the code runs in other tests, too")
	}
	eachWay(t, failedAnywhere)
}

func failedAnywhere(t *testing.T, linked bool) {
	const maxCalls = 80
	for _, fault := range []string{"sendto:error=ENOMEM", "sendmsg:error=ENOMEM", "recvfrom:error=ENOBUFS", "linkat:error=ENOSPC"} {
		t.Run(fault, func(t *testing.T) {
			l := newLab(t)
			l.linked = linked
			config := l.config(`"isDefaultGateway":true,"ipMasq":true,"macspoofchk":true,
				"runtimeConfig":{"portMappings":[{"hostPort":8080,"containerPort":80,"protocol":"tcp"}]},` + dual)
			failed := 0
			for n := 1; ; n++ {
				if n > maxCalls {
					t.Fatalf("ADD is still at it after %d of them", maxCalls)
				}
				injected, err := l.failedAt(fault, n, config)
				if !injected {
					break
				}
				if err != nil {
					failed++
				}
			}
			t.Logf("ADD failed %d times", failed)
		})
	}
}

// failedAt lets the n-th such call of an ADD fail. It is false when there was
// none; err is how the ADD ended.
func (l *lab) failedAt(fault string, n int, config string) (injected bool, err error) {
	l.Helper()
	c := call{command: "ADD", id: "a", netns: l.pod(), config: config}
	name, _, _ := strings.Cut(fault, ":")
	log, out, err := l.execution(c).Run(l, "-e", "trace="+name, "-e", fmt.Sprintf("inject=%s:when=%d", fault, n))
	// strace counts by thread, so that undoing may have been hit as well: then the
	// error says so, and it takes a DEL.
	faults := strings.Count(log, "(INJECTED)")
	if left := l.leftovers(); err != nil && faults == 1 && left != "" {
		l.Fatalf("%s, number %d: ADD says %s and leaves:\n%s", fault, n, out, left)
	}
	if err == nil {
		l.must(call{command: "CHECK", id: "a", netns: c.netns, config: withPrev(l.T, config, out)})
	}
	c.command = "DEL"
	l.must(c)
	if left := l.leftovers(); left != "" {
		l.Fatalf("%s, number %d: left after DEL:\n%s", fault, n, left)
	}
	return faults > 0, err
}
