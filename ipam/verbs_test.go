package ipam

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mascri/mascri/spec"
)

func TestAddDel(t *testing.T) {
	n := newNode(t, dualStack)
	if got := n.must("ADD", "c1"); got != "10.1.2.2 fd00::2" {
		t.Errorf("first ADD gives %s", got)
	}
	if got := n.must("ADD", "c1/net1"); got != "10.1.2.3 fd00::3" {
		t.Errorf("another interface gets %s", got)
	}
	n.holds("10.1.2.2=c1/eth0", "fd00::2=c1/eth0", "10.1.2.3=c1/net1", "fd00::3=c1/net1")
	n.must("DEL", "c1")
	n.must("DEL", "c1")
	n.holds("10.1.2.3=c1/net1", "fd00::3=c1/net1")
	if got := n.must("ADD", "c2"); got != "10.1.2.4 fd00::4" {
		t.Errorf("a released address is used again at once: %s", got)
	}
	n.consistent()
}

func TestFilesAreHostLocals(t *testing.T) {
	n := newNode(t, dualStack)
	n.must("ADD", "c1")
	for name, want := range map[string]string{"10.1.2.2": "c1\r\neth0", "fd00::2": "c1\r\neth0", "last_reserved_ip.0": "10.1.2.2", "last_reserved_ip.1": "fd00::2", "lock": ""} {
		content, err := os.ReadFile(n.path(name))
		info, statErr := os.Lstat(n.path(name))
		if err != nil || statErr != nil || string(content) != want || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %q %v %v, want %q with mode 0600", name, content, info, err, want)
		}
	}
	for dir, want := range map[string]os.FileMode{n.path(""): 0o755, filepath.Join(n.dir, privateDir): 0o700} { // host-local's, and nobody else's
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v %v, want mode %v", dir, info, err, want)
		}
	}
	if entries, err := os.ReadDir(n.path("")); err != nil || len(entries) != 5 {
		t.Errorf("host-local would walk %v %v", entries, err)
	}
}

// TestSecondAdd: a failing ADD, whatever it asks for, never touches the lease
// of the live attachment.
func TestSecondAdd(t *testing.T) {
	n := newNode(t, dualStack)
	n.must("ADD", "c1")
	n.fails("ADD", "c1", spec.InvalidEnv, "10.1.2.2 has been allocated to c1, duplicate allocation is not allowed")
	n.args = "IP=10.1.2.9"
	n.fails("ADD", "c1", spec.InvalidEnv, "duplicate allocation")
	n.more, n.args = `"args":{"cni":{"ips":["10.1.2.9","fd00::2"]}},`, ""
	n.fails("ADD", "c2", spec.Exhausted, "requested IP address fd00::2 is not available")
	n.holds("10.1.2.2=c1/eth0", "fd00::2=c1/eth0")
	n.consistent()
}

func TestRequestedAddress(t *testing.T) {
	n := newNode(t, `"subnet":"10.1.2.0/24"`)
	n.args = "IP=10.1.2.77;MAC=02:00:00:00:00:01;K8S_POD_NAME=p"
	if got := n.must("ADD", "c1"); got != "10.1.2.77" {
		t.Errorf("got %s", got)
	}
	n.fails("ADD", "c2", spec.Exhausted, "requested IP address 10.1.2.77 is not available in range set 10.1.2.1-10.1.2.254")
	n.args = ""
	if got := n.must("ADD", "c3"); got != "10.1.2.78" {
		t.Errorf("the round goes on at %s", got)
	}
}

func TestResult(t *testing.T) {
	n := newNode(t, dualStack+`,"routes":[{"dst":"0.0.0.0/0","gw":"10.1.2.9","mtu":1400}]`)
	resolvConf := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(resolvConf, []byte("nameserver 10.1.2.53\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	n.ipam += `,"resolvConf":"` + resolvConf + `"`
	a := n.run("ADD", "c1")
	if a.IPs[0].Address != "10.1.2.2/24" || a.IPs[0].Gateway != "10.1.2.1" || a.IPs[1].Address != "fd00::2/64" || a.DNS.Nameservers[0] != "10.1.2.53" {
		t.Errorf("result %+v", a)
	}
	n.must("DEL", "c1")
	n.ipam += "x"
	n.ipam = strings.Replace(n.ipam, `.conf"x`, `.gone"`, 1)
	n.fails("ADD", "c1", spec.InvalidConfig, "ipam.resolvConf")
	n.holds()
}

// TestDelNeedsLittle: a configuration that no ADD would take still gives back.
func TestDelNeedsLittle(t *testing.T) {
	n := newNode(t, dualStack)
	n.must("ADD", "c1")
	n.ipam = `"ranges":[[{"subnet":"nonsense"}]],"routes":7`
	n.must("DEL", "c1")
	n.holds()
}

func TestOldLeases(t *testing.T) {
	n := newNode(t, `"subnet":"10.1.2.0/24"`)
	n.write("10.1.2.7", "c1\n")
	n.write("10.1.2.8", "c2")
	n.must("CHECK", "c1")
	n.fails("ADD", "c1", spec.InvalidEnv, "10.1.2.7 has been allocated to c1")
	n.must("DEL", "c1")
	n.holds("10.1.2.8=c2")
	n.valid("c2/eth0")
	n.must("GC", "")
	n.holds("10.1.2.8=c2")
	n.valid("c3/eth0")
	n.must("GC", "")
	n.holds()
	n.consistent()
}

func TestCheck(t *testing.T) {
	n := newNode(t, dualStack)
	n.fails("CHECK", "c1", spec.CheckFailed, "Failed to find address added by container c1")
	n.must("ADD", "c1")
	n.must("CHECK", "c1")
	n.more = `"prevResult":{"cniVersion":"1.1.0","ips":[{"address":"10.1.2.2/24"},{"address":"fd00::2/64"},{"address":"192.168.9.9/24"}]},`
	n.must("CHECK", "c1")
	n.remove("fd00::2")
	n.fails("CHECK", "c1", spec.CheckFailed, "fd00::2 of prevResult is not leased to c1/eth0")
	n.write("10.1.2.2", "c9\r\neth0")
	n.fails("CHECK", "c1", spec.CheckFailed, "Failed to find address added by container c1")
}

func TestGC(t *testing.T) {
	n := newNode(t, dualStack)
	for _, owner := range []string{"c1", "c1/net1", "c2", "c3"} {
		n.must("ADD", owner)
	}
	n.write("10.1.2.99", "gone\r\neth0")
	n.write("notes.txt", "c3\r\neth0")
	n.valid("c1/net1", "c3/eth0", "never/eth0")
	n.must("GC", "")
	n.holds("10.1.2.3=c1/net1", "fd00::3=c1/net1", "10.1.2.5=c3/eth0", "fd00::5=c3/eth0")
	n.must("CHECK", "c3")
	n.consistent()
	if _, err := os.Stat(n.path("notes.txt")); err != nil {
		t.Errorf("GC removes what is no lease: %v", err)
	}
	n.valid()
	n.must("GC", "")
	n.holds()
	n.consistent()
}

func TestStatus(t *testing.T) {
	n := newNode(t, `"ranges":[[{"subnet":"10.1.2.0/29","rangeEnd":"10.1.2.3"}]]`)
	n.must("STATUS", "")
	n.must("ADD", "c1")
	n.must("STATUS", "")
	n.must("ADD", "c2")
	n.fails("STATUS", "", spec.NotAvailable, "no IP addresses available in range set: 10.1.2.1-10.1.2.3")
	n.fails("ADD", "c3", spec.Exhausted, "failed to allocate for range 0: no IP addresses available in range set: 10.1.2.1-10.1.2.3")
	n.must("DEL", "c1")
	n.must("STATUS", "")
	n.consistent()
	if got := n.must("ADD", "c3"); got != "10.1.2.2" {
		t.Errorf("the round comes to %s", got)
	}
	n.ipam = `"routes":[]`
	n.must("STATUS", "") // the ranges may come with ADD, by the capability ipRanges
	n.ipam = `"subnet":"10.1.2.9/24"`
	n.fails("STATUS", "", spec.InvalidConfig, "host bits set")
}

func TestStatusWithoutADirectory(t *testing.T) {
	n := newNode(t, dualStack)
	if err := os.WriteFile(filepath.Join(n.dir, "net"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	n.fails("STATUS", "", spec.NotAvailable, n.dir)
	n.fails("ADD", "c1", spec.Store, n.dir)
}

func TestPreview(t *testing.T) {
	config := `{"cniVersion":"1.1.0","name":"net","ipam":{"dataDir":"/nonexistent","resolvConf":"/nonexistent","routes":[{"dst":"0.0.0.0/0"}],` + dualStack + `}}`
	result, err := Preview([]byte(config), spec.Args{{Key: "IP", Value: "fd00::7"}})
	if err != nil {
		t.Fatal(err)
	}
	if len(result.IPs) != 2 || result.IPs[0].Address.String() != "10.1.2.2/24" || result.IPs[1].Address.String() != "fd00::7/64" || len(result.Routes) != 1 {
		t.Errorf("preview %v", result)
	}
	if _, err := Preview([]byte(`{"name":"net"}`), nil); spec.CodeOf(err) != spec.InvalidConfig {
		t.Errorf("a config without ipam: %v", err)
	}
}
