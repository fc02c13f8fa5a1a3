//go:build privileged

package loopback

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/mascri/mascri/netplug/netns"
	"github.com/mascri/mascri/netplug/netns/netnstest"
	"github.com/mascri/mascri/spec"
)

// sh runs a command in a namespace; it must succeed.
func sh(t *testing.T, netns, command string) string {
	t.Helper()
	out, err := exec.Command("nsenter", "--net="+netns, "sh", "-ec", command).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
	return string(out)
}

// isUp tells whether a namespace's lo is up.
func isUp(t *testing.T, netns string) bool {
	t.Helper()
	return strings.Contains(sh(t, netns, "ip -o link show lo"), ",UP")
}

// config is the whole configuration of a loopback network.
const config = `{"cniVersion":"1.1.0","name":"lo","type":"loopback"}`

// run executes a verb in this process; extra is appended to the environment.
func run(command, netns, config string, extra ...string) (code int, stdout string) {
	env := append([]string{"CNI_COMMAND=" + command, "CNI_CONTAINERID=c", "CNI_NETNS=" + netns, "CNI_IFNAME=eth7"}, extra...)
	var out, stderr bytes.Buffer
	code = Plugin().Run(context.Background(), env, strings.NewReader(config), &out, &stderr)
	return code, out.String()
}

// must is run for what has to succeed.
func must(t *testing.T, command, netns, config string, extra ...string) string {
	t.Helper()
	code, out := run(command, netns, config, extra...)
	if code != 0 {
		t.Fatalf("%s: exit %d: %s", command, code, out)
	}
	return out
}

// refused is run for what has to fail with a code, naming the culprit.
func refused(t *testing.T, command, netns, config string, code spec.Code, culprit string) {
	t.Helper()
	_, out := run(command, netns, config)
	var e spec.Error
	if err := json.Unmarshal([]byte(out), &e); err != nil {
		t.Fatalf("%s: %q is no error object: %v", command, out, err)
	}
	if e.Code != code || !strings.Contains(e.Msg, culprit) {
		t.Errorf("%s: code %d %q, expected code %d naming %q", command, e.Code, e.Msg, code, culprit)
	}
}

// withPrev puts a result into the configuration, as a runtime does.
func withPrev(result string) string {
	return strings.TrimSuffix(config, "}") + `,"prevResult":` + result + `}`
}

// reach connects to a server of its own at a loopback address.
func reach(address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	defer listener.Close()
	conn, err := net.DialTimeout("tcp", listener.Addr().String(), time.Second)
	if err != nil {
		return err
	}
	return conn.Close()
}

func TestAddCheckDel(t *testing.T) {
	netnstest.Enter(t)
	pod := netnstest.New(t)
	if isUp(t, pod) {
		t.Fatal("a new namespace's lo is up: the test proves nothing")
	}
	result := must(t, "ADD", pod, config)
	if !isUp(t, pod) {
		t.Error("lo is down after ADD")
	}
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		if err := netns.Do(pod, func() error { return reach(address) }); err != nil {
			t.Errorf("%s does not answer after ADD: %v", address, err)
		}
	}
	for _, part := range []string{`"name": "lo"`, `"mac": "00:00:00:00:00:00"`, `"sandbox": "` + pod + `"`,
		`"address": "127.0.0.1/8"`, `"address": "::1/128"`, `"interface": 0`, `"cniVersion": "1.1.0"`} {
		if !strings.Contains(result, part) {
			t.Errorf("the result lacks %s:\n%s", part, result)
		}
	}
	must(t, "ADD", pod, config) // a sandbox that is set up twice
	must(t, "CHECK", pod, withPrev(result))
	must(t, "DEL", pod, withPrev(result))
	if isUp(t, pod) {
		t.Error("lo is up after DEL")
	}
	refused(t, "CHECK", pod, withPrev(result), spec.CheckFailed, "loopback interface is down")
	must(t, "DEL", pod, config)
	must(t, "DEL", "", config)
	must(t, "DEL", "/run/netns/long-gone", config)
	must(t, "STATUS", "", config)
	must(t, "GC", "", strings.TrimSuffix(config, "}")+`,"cni.dev/valid-attachments":[]}`)
}

func TestCheckMissesAnAddress(t *testing.T) {
	netnstest.Enter(t)
	pod := netnstest.New(t)
	result := must(t, "ADD", pod, config)
	sh(t, pod, "ip addr del 127.0.0.1/8 dev lo")
	refused(t, "CHECK", pod, withPrev(result), spec.CheckFailed, "127.0.0.1/8")
	// Another interface's address in the same result is not lo's business.
	other := `{"cniVersion":"1.1.0","interfaces":[{"name":"eth0","sandbox":"` + pod + `"}],"ips":[{"address":"10.1.2.3/24","interface":0}]}`
	must(t, "CHECK", pod, withPrev(other))
}

func TestPrevResultPassesThrough(t *testing.T) {
	netnstest.Enter(t)
	pod := netnstest.New(t)
	prev := `{"cniVersion":"1.1.0","interfaces":[{"name":"eth0","mac":"02:00:00:00:00:01","mtu":1400,"sandbox":"` + pod +
		`"}],"ips":[{"interface":0,"address":"10.1.2.3/24","gateway":"10.1.2.1"}],"routes":[{"dst":"0.0.0.0/0","mtu":1300}],"dns":{"nameservers":["10.1.2.9"]}}`
	var want, got map[string]any
	if err := json.Unmarshal([]byte(prev), &want); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(must(t, "ADD", pod, withPrev(prev))), &got); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("passed on %v\nexpected %v", got, want)
	}
	if !isUp(t, pod) {
		t.Error("lo is down after a chained ADD")
	}
}

// TestHostKeepsItsLoopback: the reference answers code 8 as well, after it has
// set the host's lo down.
func TestHostKeepsItsLoopback(t *testing.T) {
	node := netnstest.Enter(t)
	sh(t, node, "ip link set lo up")
	refused(t, "ADD", node, config, spec.InvalidNetns, "should not be the same")
	must(t, "DEL", node, config)
	must(t, "DEL", node, config, "CNI_NETNS_OVERRIDE=1")
	if !isUp(t, node) {
		t.Error("the host's lo is down")
	}
}

func TestRefusals(t *testing.T) {
	netnstest.Enter(t)
	pod := netnstest.New(t)
	refused(t, "ADD", "/run/netns/never-was", config, spec.InvalidNetns, "/run/netns/never-was")
	refused(t, "ADD", "/proc/self/ns/uts", config, spec.InvalidNetns, "not a network namespace")
	refused(t, "CHECK", "/run/netns/never-was", config, spec.InvalidNetns, "/run/netns/never-was")
	sh(t, pod, "ip addr add 192.0.2.7/32 dev lo")
	refused(t, "ADD", pod, config, spec.Kernel, "192.0.2.7")
	if isUp(t, pod) {
		t.Error("a refused ADD set lo up")
	}
}
