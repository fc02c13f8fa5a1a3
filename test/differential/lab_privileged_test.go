//go:build privileged

package differential

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mascri/mascri/netplug/netns/netnstest"
)

// A lab is a node of its own for one run: a network namespace that dies with
// the test's thread, with an uplink to a second one (outside), pods, and a
// directory for leases.
type lab struct {
	*testing.T
	implementation
	node    string // the node's namespace, a path
	outside string
	data    string // ipam.dataDir, and what else plugins write
	pods    []string
}

// The addresses at both ends of the uplink. Outside has its default routes
// through the node, so that it can answer a pod's own address.
const (
	nodeV4, outsideV4 = "192.0.2.1", "192.0.2.9"
	nodeV6, outsideV6 = "2001:db8::1", "2001:db8::9"
)

// newLab moves the calling goroutine's thread into a new network namespace. The
// thread is never unlocked, so it ends with the test and the namespace with it.
// t.Run starts a new goroutine: call newLab in the subtest.
func newLab(t *testing.T, impl implementation) *lab {
	t.Helper()
	skipShort(t)
	node := netnstest.Enter(t)
	isolateFiles(t)
	l := &lab{T: t, implementation: impl, data: t.TempDir(), node: node}
	l.outside = netnstest.New(l)
	l.sh(`ip -batch - <<.
link set lo up
link add uplink address 02:00:00:00:00:01 type veth peer name eth0 address 02:00:00:00:00:09 netns ` + l.outside + `
link set uplink up
addr add ` + nodeV4 + `/24 dev uplink
addr add ` + nodeV6 + `/64 dev uplink nodad
.
nsenter --net=` + l.outside + ` ip -batch - <<.
link set lo up
link set eth0 up
addr add ` + outsideV4 + `/24 dev eth0
addr add ` + outsideV6 + `/64 dev eth0 nodad
route add default via ` + nodeV4 + `
route add default via ` + nodeV6 + `
.
until ip link show uplink | grep -q 'state UP'; do sleep 0.01; done`)
	return l
}

// skipShort ends a test that only waits for processes.
func skipShort(t *testing.T) {
	if testing.Short() {
		t.Skip("plugins are processes of their own, which no race detector of this one sees")
	}
}

// isolateFiles gives the thread mounts of its own: empty directories where
// plugins keep state, and a /sys that shows the links of the network namespace
// that the thread is in, as a node's does. (A user namespace inside a container
// may not mount one; then a plugin must do without, and come to the same.)
func isolateFiles(t *testing.T) {
	t.Helper()
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		t.Fatalf("unshare the mount namespace: %v", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatalf("make mounts private: %v", err)
	}
	for _, dir := range []string{"/run", "/var/lib"} {
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, ""); err != nil {
			t.Fatalf("mount an empty %s: %v", dir, err)
		}
	}
	if err := unix.Mount("sysfs", "/sys", "sysfs", 0, ""); err != nil {
		t.Logf("mount /sys: %v", err)
	}
}

// pod makes a namespace with lo up, as runtimes do before they attach it.
func (l *lab) pod() string {
	l.Helper()
	path := netnstest.New(l)
	l.sh("nsenter --net=" + path + " ip link set lo up")
	l.pods = append(l.pods, path)
	return path
}

// commandTimeout bounds a command and a plugin: the reference's enabledad takes
// two seconds, and the machine may be busy.
const commandTimeout = 60 * time.Second

// sh runs a command in the node's namespace; it must succeed. DATA in it stands
// for the lab's directory.
func (l *lab) sh(command string) string {
	l.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, "sh", "-ec", strings.ReplaceAll(command, "DATA", l.data)).CombinedOutput()
	if err != nil {
		l.Fatalf("%s: %v\n%s", command, err, out)
	}
	return string(out)
}

// A call is one execution of a plugin.
type call struct {
	command, id, netns string
	plugin             object // with type, and prevResult where there is one
	args               string // CNI_ARGS
	ifname             string // "eth0" where it is empty
}

// An object is a decoded JSON object.
type object = map[string]any

// An answer is what the plugin gave back.
type answer struct {
	exit   int
	stdout string
	stderr string
}

// execute runs the plugin as a process in the node's namespace.
func (l *lab) execute(c call) answer {
	l.Helper()
	config, err := json.Marshal(c.plugin)
	if err != nil {
		l.Fatal(err)
	}
	if c.ifname == "" {
		c.ifname = "eth0"
	}
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	name, _ := c.plugin["type"].(string)
	cmd := exec.CommandContext(ctx, filepath.Join(l.bin, name))
	cmd.Dir = l.data // for paths that are relative
	cmd.Env = append(os.Environ(), "CNI_COMMAND="+c.command, "CNI_CONTAINERID="+c.id, "CNI_NETNS="+c.netns,
		"CNI_IFNAME="+c.ifname, "CNI_PATH="+l.bin, "CNI_ARGS="+c.args)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(config), &stdout, &stderr
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		l.Fatalf("%s %s: %v", name, c.command, err)
	}
	return answer{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// object parses a JSON object whose DATA stands for the lab's directory.
func (l *lab) object(text string) object {
	l.Helper()
	var o object
	if err := json.Unmarshal([]byte(strings.ReplaceAll(text, "DATA", l.data)), &o); err != nil {
		l.Fatalf("%s: %v", text, err)
	}
	return o
}
