//go:build privileged

package netplug

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// strace runs the plugin as a process of its own under strace(1), and returns
// what strace wrote, and whether the plugin or its delegate was killed.
func (l *lab) strace(c call, options ...string) (log string, killed bool) {
	l.Helper()
	file := filepath.Join(l.TempDir(), "strace")
	args := append([]string{"-f", "-qq", "-o", file}, options...)
	cmd := exec.Command("strace", append(args, filepath.Join(l.bin, "netplug"))...)
	cmd.Env = l.environment(c)
	cmd.Stdin = strings.NewReader(c.config)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	log = l.sh("cat " + file)
	killed = strings.Contains(log, "+++ killed by SIGKILL +++")
	if err != nil && !killed {
		l.Fatalf("strace: %v\n%s", err, out.String())
	}
	return log, killed
}

// TestOnlyTheIPAMPluginIsStarted counts execve: the plugin's own and, for each
// ADD and DEL, the delegate's.
func TestOnlyTheIPAMPluginIsStarted(t *testing.T) {
	l := newLab(t)
	config := l.config(`"isDefaultGateway":true,"ipMasq":true,"macspoofchk":true,
		"runtimeConfig":{"portMappings":[{"hostPort":8080,"containerPort":80,"protocol":"tcp"}]},` + dual)
	pod := l.pod()
	for _, command := range []string{"ADD", "DEL"} {
		log, _ := l.strace(call{command: command, id: "a", netns: pod, config: config}, "-e", "trace=execve,execveat")
		if n := strings.Count(log, "= 0"); n != 2 || !strings.Contains(log, "/ipam\"") {
			t.Errorf("%s started %d programs, expected netplug and ipam:\n%s", command, n, log)
		}
	}
}

// TestKilledAnywhere kills an ADD, and then a DEL, before each system call that
// changes something: what the plugin sends to the kernel, and what its IPAM
// plugin does to files. One DEL later nothing may be left, and one ADD later
// everything must be there; after a killed ADD, GC must do as well as DEL.
func TestKilledAnywhere(t *testing.T) {
	if testing.Short() {
		t.Skip("strace of the race detector's own system calls takes minutes; the code runs in other tests, too")
	}
	const maxCalls = 80
	for _, syscallName := range []string{"sendto", "sendmsg", "linkat", "renameat", "unlinkat", "mkdirat", "write"} {
		for _, command := range []string{"ADD", "DEL"} {
			t.Run(command+" at "+syscallName, func(t *testing.T) {
				l := newLab(t)
				config := l.config(`"isDefaultGateway":true,"ipMasq":true,"macspoofchk":true,
					"runtimeConfig":{"portMappings":[{"hostPort":8080,"containerPort":80,"protocol":"tcp"}]},` + dual)
				kills := 0
				for n := 1; ; n++ {
					if n > maxCalls {
						t.Fatalf("%s is still at it after %d times %s", command, maxCalls, syscallName)
					}
					if !l.killedAt(command, syscallName, n, config) {
						break
					}
					kills++
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
	pod := l.pod()
	c := call{id: "a", netns: pod, config: config}
	do := func(command string) answer {
		l.Helper()
		c.command = command
		return l.must(c)
	}
	if command == "DEL" {
		do("ADD")
	}
	c.command = command
	inject := fmt.Sprintf("inject=%s:signal=KILL:when=%d", syscallName, n)
	_, killed := l.strace(c, "-e", "trace="+syscallName, "-e", inject)
	if command == "ADD" && n%2 == 0 {
		l.must(call{command: "GC", config: strings.Replace(config, `{`, `{"cni.dev/valid-attachments":[],`, 1)})
	} else {
		do("DEL")
	}
	if left := l.leftovers(); left != "" {
		l.Fatalf("killed at %s %d, left after DEL or GC:\n%s", syscallName, n, left)
	}
	added := do("ADD")
	l.must(call{command: "CHECK", id: "a", netns: pod, config: withPrev(l.T, config, added.stdout)})
	do("DEL")
	return killed
}
