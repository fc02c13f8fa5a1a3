//go:build privileged

package netplug

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mascri/mascri/ipam"
	"github.com/mascri/mascri/netplug/netns"
	"github.com/mascri/mascri/netplug/netns/netnstest"
	"github.com/mascri/mascri/spec"
	"github.com/mascri/mascri/test/straced"
)

// TestMain lets the test binary be the plugins: lab links it under their names
// into CNI_PATH.
func TestMain(m *testing.M) {
	straced.Main(m, map[string]func() spec.Plugin{
		"ipam": ipam.Plugin,
		"netplug": func() spec.Plugin {
			plugin := Plugin()
			plugin.Linked = &spec.Linked{Plugin: ipam.Plugin(), BuildID: os.Getenv(linkedEnv)}
			return plugin
		},
	})
}

// linkedEnv has the build ID of the program that netplug, as a process, calls the
// IPAM plugin of instead of executing it.
const linkedEnv = "NETPLUG_LINKED"

// ownBuildID is that of the test binary, which is every plugin's program here.
var ownBuildID = sync.OnceValues(func() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	id, err := exec.Command("go", "tool", "buildid", self).Output()
	return strings.TrimSpace(string(id)), err
})

// lab is a node of its own for one test: a network namespace that dies with the
// test's thread, and directories that the plugins may use.
type lab struct {
	*testing.T
	bin, data string
	trace     bool
	linked    bool // netplug, as a process, has the IPAM plugin on board
}

// newLab moves the calling goroutine's thread into a new network namespace. The
// thread is never unlocked, so it ends with the test and the namespace with it.
// t.Run starts a new goroutine: call newLab in the subtest.
func newLab(t *testing.T) *lab {
	t.Helper()
	netnstest.Enter(t)
	l := &lab{T: t, bin: t.TempDir(), data: t.TempDir()}
	for _, name := range []string{"ipam", "netplug"} {
		straced.Link(t, l.bin, name)
	}
	l.sh("ip link set lo up")
	return l
}

// pod makes a namespace that lives as long as the test and gives its path.
func (l *lab) pod() string {
	l.Helper()
	path := netnstest.New(l)
	l.sh("nsenter --net=" + path + " ip link set lo up")
	return path
}

// interpose makes a shell script the IPAM plugin; $IPAM is the real one.
func (l *lab) interpose(script string) {
	l.Helper()
	ipam := filepath.Join(l.TempDir(), "ipam")
	if err := os.Rename(filepath.Join(l.bin, "ipam"), ipam); err != nil {
		l.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(l.bin, "ipam"), []byte("#!/bin/sh\nIPAM="+ipam+"\n"+script+"\n"), 0o755); err != nil {
		l.Fatal(err)
	}
}

// sh runs a command in the node's namespace; it must succeed.
func (l *lab) sh(command string) string {
	l.Helper()
	out, err := exec.Command("sh", "-ec", command).CombinedOutput()
	if err != nil {
		l.Fatalf("%s: %v\n%s", command, err, out)
	}
	return string(out)
}

// config completes a network configuration given as its differing keys.
func (l *lab) config(keys string) string {
	return fmt.Sprintf(`{"cniVersion":"1.1.0","name":"lab","type":"netplug","bridge":"br-lab",%s}`,
		strings.ReplaceAll(keys, "DATA", l.data))
}

// v4 and dual are common ipam sections.
const (
	v4   = `"ipam":{"type":"ipam","dataDir":"DATA","ranges":[[{"subnet":"10.88.0.0/24"}]],"routes":[{"dst":"0.0.0.0/0"}]}`
	dual = `"ipam":{"type":"ipam","dataDir":"DATA","ranges":[[{"subnet":"10.88.0.0/24"}],[{"subnet":"fd88::/64"}]],"routes":[{"dst":"0.0.0.0/0"},{"dst":"::/0"}]}`
)

// call executes the plugin in this process, in the node's namespace.
type call struct {
	command, id, netns, config string
	ifname, args               string
}

type answer struct {
	code   int
	stdout string
	stderr string
}

// environment is what the runtime sets.
func (l *lab) environment(c call) []string {
	if c.ifname == "" {
		c.ifname = "eth0"
	}
	env := []string{"CNI_COMMAND=" + c.command, "CNI_CONTAINERID=" + c.id, "CNI_NETNS=" + c.netns,
		"CNI_IFNAME=" + c.ifname, "CNI_PATH=" + l.bin, "CNI_ARGS=" + c.args}
	if !l.linked {
		return env
	}
	id, err := ownBuildID()
	if err != nil {
		l.Fatalf("the test binary's build ID: %v", err)
	}
	return append(env, linkedEnv+"="+id)
}

func (l *lab) run(c call) answer {
	l.Helper()
	env := l.environment(c)
	if l.trace {
		env = append(env, spec.TraceEnv+"=1")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var stdout bytes.Buffer
	var stderr shared
	code := Plugin().Run(ctx, env, strings.NewReader(c.config), &stdout, &stderr)
	return answer{code, stdout.String(), stderr.text.String()}
}

// shared is a buffer that a verb's goroutines may write to at once, as they may
// to a file.
type shared struct {
	mu   sync.Mutex
	text bytes.Buffer // not embedded: io.Copy would go round Write
}

func (s *shared) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

// must is run for what has to succeed.
func (l *lab) must(c call) answer {
	l.Helper()
	a := l.run(c)
	if a.code != 0 {
		l.Fatalf("%s %s: %s%s", c.command, c.id, a.stdout, a.stderr)
	}
	return a
}

// refused is run for what has to fail with the code, naming the culprit.
func (l *lab) refused(c call, code spec.Code, culprit string) {
	l.Helper()
	a := l.run(c)
	var e spec.Error
	if err := json.Unmarshal([]byte(a.stdout), &e); err != nil || a.code == 0 {
		l.Fatalf("%s %s: exit %d, %q is no error object", c.command, c.id, a.code, a.stdout)
	}
	if e.Code != code || !strings.Contains(e.Msg, culprit) {
		l.Errorf("%s %s: code %d %q, expected code %d naming %q", c.command, c.id, e.Code, e.Msg, code, culprit)
	}
}

// withPrev puts an ADD's result into the configuration, as a runtime does.
func withPrev(t *testing.T, config, result string) string {
	t.Helper()
	var c, r map[string]any
	if err := json.Unmarshal([]byte(config), &c); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(result), &r); err != nil {
		t.Fatal(err)
	}
	c["prevResult"] = r
	out, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// leftovers lists what DEL must not leave: links but the bridge, leases,
// elements of the packet filter that belong to a pod.
func (l *lab) leftovers() string {
	l.Helper()
	links := l.sh(`ip -br link show type veth`)
	leases, err := filepath.Glob(filepath.Join(l.data, "lab", "[0-9f]*.*"))
	if err != nil {
		l.Fatal(err)
	}
	leases6, err := filepath.Glob(filepath.Join(l.data, "lab", "fd*"))
	if err != nil {
		l.Fatal(err)
	}
	elements := l.sh(`nft list ruleset | grep -e 'chain pod-' -e eth0 || true`)
	return strings.TrimSpace(links + strings.Join(append(leases, leases6...), "\n") + elements)
}

// serve answers one line, "from ADDRESS", to each TCP connection in a namespace.
func (l *lab) serve(netnsPath, address string) {
	l.Helper()
	var listener net.Listener
	err := netns.Do(netnsPath, func() (err error) {
		listener, err = net.Listen("tcp", address)
		return err
	})
	if err != nil {
		l.Fatalf("listen on %s: %v", address, err)
	}
	l.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			host, _, _ := net.SplitHostPort(conn.RemoteAddr().String())
			fmt.Fprintf(conn, "from %s", host)
			conn.Close()
		}
	}()
}

// patience is for what has to answer, on a busy machine. The one test that
// expects silence gets a refusal at once.
const patience = 10 * time.Second

// ask connects from a namespace and returns the server's line.
func (l *lab) ask(netnsPath, address string) (string, error) {
	l.Helper()
	var text string
	err := netns.Do(netnsPath, func() error {
		conn, err := net.DialTimeout("tcp", address, patience)
		if err != nil {
			return err
		}
		defer conn.Close()
		if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
		buf := make([]byte, 100)
		n, err := conn.Read(buf)
		text = string(buf[:n])
		return err
	})
	return text, err
}
