//go:build vlan

package vlan

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	current "github.com/containernetworking/cni/pkg/types/100"
	"github.com/vishvananda/netlink"

	"github.com/mascri/mascri/netplug"
	"github.com/mascri/mascri/netplug/netns"
	"github.com/mascri/mascri/netplug/netns/netnstest"
)

// bridge is the network's bridge, and leg the node's interface in VLAN 100.
const (
	bridge = "br-lab"
	leg    = "br-lab.100"
)

// lab is a node of its own for one test: a network namespace that dies with the
// test's thread, and a directory for the leases.
type lab struct {
	*testing.T
	data string
}

// newLab moves the calling goroutine's thread, which is never unlocked, into a
// new network namespace. The netlink library's functions work in there.
func newLab(t *testing.T) *lab {
	t.Helper()
	netnstest.Enter(t)
	return &lab{T: t, data: t.TempDir()}
}

// config completes a network configuration given as its differing keys.
func config(keys string) string {
	return fmt.Sprintf(`{"cniVersion":"1.1.0","name":"lab","type":"netplug","bridge":"%s",%s}`, bridge, keys)
}

// addressed is config with addresses from the one subnet of the tests.
func (l *lab) addressed(keys string) string {
	return config(fmt.Sprintf(`%s,"ipam":{"type":"ipam","dataDir":"%s","ranges":[[{"subnet":"10.88.0.0/24"}]]}`, keys, l.data))
}

// call is one execution of the plugin.
type call struct{ command, id, netns, config string }

// run executes the plugin in this process, in the node's namespace; err is what
// it printed if it ended with another exit code than 0.
func (l *lab) run(c call) (stdout string, err error) {
	env := []string{"CNI_COMMAND=" + c.command, "CNI_CONTAINERID=" + c.id, "CNI_NETNS=" + c.netns,
		"CNI_IFNAME=eth0", "CNI_PATH=" + pluginsDir}
	ctx, cancel := context.WithTimeout(l.Context(), time.Minute)
	defer cancel()
	var out, stderr bytes.Buffer
	if code := netplug.Plugin().Run(ctx, env, strings.NewReader(c.config), &out, &stderr); code != 0 {
		err = fmt.Errorf("%s %s: exit code %d: %s%s", c.command, c.id, code, &out, &stderr)
	}
	return out.String(), err
}

// attached is a pod that ADD has given an interface.
type attached struct {
	call
	result *current.Result
}

// add makes a pod and gives it an interface.
func (l *lab) add(id, config string) attached {
	l.Helper()
	c := call{"ADD", id, netnstest.New(l), config}
	stdout, err := l.run(c)
	if err != nil {
		l.Fatal(err)
	}
	result := &current.Result{}
	if err := json.Unmarshal([]byte(stdout), result); err != nil {
		l.Fatalf("ADD %s: %v: %s", id, err, stdout)
	}
	return attached{c, result}
}

// check is CHECK as the runtime asks for it, with the result of ADD.
func (l *lab) check(pod attached) error {
	l.Helper()
	result, err := json.Marshal(pod.result)
	if err != nil {
		l.Fatal(err)
	}
	withResult := fmt.Sprintf(`%s,"prevResult":%s}`, strings.TrimSuffix(pod.config, "}"), result)
	_, err = l.run(call{"CHECK", pod.id, pod.netns, withResult})
	return err
}

// address is the pod's own; port is its end on the bridge.
func (pod attached) address() net.IP { return pod.result.IPs[0].Address.IP }
func (pod attached) port() string    { return pod.result.Interfaces[1].Name }

// link looks up an interface of the node.
func (l *lab) link(name string) netlink.Link {
	l.Helper()
	link, err := netlink.LinkByName(name)
	if err != nil {
		l.Fatalf("look up %s: %v", name, err)
	}
	return link
}

// must ends the test on an error of its own preparations.
func (l *lab) must(err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
}

// leases lists the addresses that are leased.
func (l *lab) leases() []string {
	l.Helper()
	files, err := filepath.Glob(filepath.Join(l.data, "lab", "10.88.*"))
	l.must(err)
	return files
}

// serve answers TCP connections to an address of a namespace with its name.
func (l *lab) serve(path, name string, ip net.IP) {
	l.Helper()
	var listener net.Listener
	err := netns.Do(path, func() (err error) {
		listener, err = net.ListenTCP("tcp", &net.TCPAddr{IP: ip, Port: 80})
		return err
	})
	l.must(err)
	l.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(conn, name)
			conn.Close()
		}
	}()
}

// ask connects from a namespace and gives the name that answers.
func ask(path string, ip net.IP, patience time.Duration) (name string, err error) {
	err = netns.Do(path, func() error {
		conn, err := net.DialTimeout("tcp", net.JoinHostPort(ip.String(), "80"), patience)
		if err != nil {
			return err
		}
		defer conn.Close()
		if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
		buf := make([]byte, 100)
		n, err := conn.Read(buf)
		name = string(buf[:n])
		return err
	})
	return name, err
}
