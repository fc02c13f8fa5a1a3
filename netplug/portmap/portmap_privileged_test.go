//go:build privileged

package portmap

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/mascri/mascri/netplug/netns"
	"github.com/mascri/mascri/netplug/netns/netnstest"
)

// A lab is a host with a bridge and one pod on it, and a machine outside. The
// test's thread is in the host's namespace and is never unlocked, so that the
// namespace ends with the test. t.Run is another thread: make the lab inside.
type lab struct {
	*testing.T
	pod, outside string
}

func newLab(t *testing.T) *lab {
	t.Helper()
	netnstest.Enter(t)
	l := &lab{T: t, pod: netnstest.New(t), outside: netnstest.New(t)}
	l.run(`ip link set lo up; sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0
		ip link add br0 type bridge; ip link set br0 up; ip addr add 10.1.0.1/16 dev br0; ip addr add fd00::1/64 dev br0 nodad
		ip link add veth0 type veth peer name eth0 netns ` + l.pod + `; ip link set veth0 master br0 up; bridge link set dev veth0 hairpin on
		ip link add up0 type veth peer name eth0 netns ` + l.outside + `; ip link set up0 up; ip addr add 192.0.2.1/24 dev up0; ip addr add 2001:db8::1/64 dev up0 nodad`)
	l.in(l.pod, `ip link set lo up; ip addr add 10.1.2.3/16 dev eth0; ip addr add fd00::3/64 dev eth0 nodad; ip link set eth0 up
		ip route add default via 10.1.0.1; ip route add default via fd00::1`)
	l.in(l.outside, `ip link set lo up; ip addr add 192.0.2.2/24 dev eth0; ip addr add 2001:db8::2/64 dev eth0 nodad; ip addr add 192.0.2.3/24 dev eth0; ip link set eth0 up`)
	return l
}

func (l *lab) run(script string) string {
	l.Helper()
	out, err := exec.Command("sh", "-ec", script).CombinedOutput()
	if err != nil {
		l.Fatalf("%s: %v\n%s", script, err, out)
	}
	return string(out)
}

func (l *lab) in(path, script string) {
	l.Helper()
	if out, err := exec.Command("nsenter", "--net="+path, "sh", "-ec", script).CombinedOutput(); err != nil {
		l.Fatalf("in %s: %s: %v\n%s", path, script, err, out)
	}
}

// verb runs the plugin as a runtime does and returns its exit code and stdout.
func (l *lab) verb(command, id, config string) (code int, stdout string) {
	l.Helper()
	var out, errs bytes.Buffer
	code = Plugin().Run(context.Background(), l.environment(command, id), strings.NewReader(config), &out, &errs)
	if errs.Len() > 0 {
		l.Logf("%s: %s", command, errs.String())
	}
	return code, out.String()
}

func (l *lab) environment(command, id string) []string {
	if command == "GC" || command == "STATUS" {
		return []string{"CNI_COMMAND=" + command, "CNI_PATH=/"}
	}
	return []string{"CNI_COMMAND=" + command, "CNI_CONTAINERID=" + id, "CNI_NETNS=" + l.pod, "CNI_IFNAME=eth0", "CNI_PATH=/"}
}

// ok runs a verb that has to succeed.
func (l *lab) ok(command, id, config string) {
	l.Helper()
	if code, out := l.verb(command, id, config); code != 0 {
		l.Fatalf("%s of %s: %s", command, id, out)
	}
}

const prevResult = `"prevResult":{"cniVersion":"1.1.0","interfaces":[{"name":"br0"},{"name":"eth0","sandbox":"/x"}],
	"ips":[{"interface":1,"address":"10.1.2.3/16"},{"interface":1,"address":"fd00::3/64"}]}`

// config is a network configuration with the keys.
func config(keys string) string {
	return `{"cniVersion":"1.1.0","name":"net","type":"portmap",` + keys + `,` + prevResult + `}`
}

const tcp8080 = `"runtimeConfig":{"portMappings":[{"hostPort":8080,"containerPort":80,"protocol":"tcp"}]}`

// serve answers on the pod's port 80 with the address it sees.
func (l *lab) serve(network, addr string) {
	l.Helper()
	err := netns.Do(l.pod, func() error {
		listener, err := net.Listen(network, addr)
		if err != nil {
			return err
		}
		l.Cleanup(func() {
			if err := listener.Close(); err != nil {
				l.Error(err)
			}
		})
		go answer(listener)
		return nil
	})
	if err != nil {
		l.Fatal(err)
	}
}

func answer(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return // closed at the end of the test
		}
		host, _, err := net.SplitHostPort(conn.RemoteAddr().String())
		if err == nil {
			_, err = io.WriteString(conn, host)
		}
		if closed := conn.Close(); err != nil || closed != nil {
			fmt.Fprintln(os.Stderr, "lab:", err, closed)
		}
	}
}

// seen is the address that the pod sees when somebody connects; "" for no answer.
func (l *lab) seen(path, from, to string, patience time.Duration) (answer string) {
	l.Helper()
	ask := func() error {
		dialer := net.Dialer{Timeout: patience}
		if from != "" {
			dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
		}
		conn, err := dialer.Dial("tcp", to)
		if err != nil {
			return nil // no answer
		}
		text, err := io.ReadAll(conn)
		answer = string(text)
		if closed := conn.Close(); err == nil {
			err = closed
		}
		return err
	}
	var err error
	if path == "" {
		err = ask()
	} else {
		err = netns.Do(path, ask)
	}
	if err != nil {
		l.Error(err)
	}
	return answer
}

func (l *lab) sees(path, from, to, want string) {
	l.Helper()
	patience := 10 * time.Second // for what has to come, on a busy machine
	if want == "" {
		patience = time.Second
	}
	if got := l.seen(path, from, to, patience); got != want {
		l.Errorf("%s from %q: seen as %q, want %q", to, from, got, want)
	}
}

func TestHostPortsWork(t *testing.T) {
	l := newLab(t)
	l.serve("tcp4", "10.1.2.3:80")
	l.serve("tcp6", "[fd00::3]:80")
	l.ok("ADD", "abc", config(tcp8080))
	l.ok("ADD", "abc", config(tcp8080))
	l.ok("CHECK", "abc", config(tcp8080))
	l.sees(l.outside, "", "192.0.2.1:8080", "192.0.2.2")
	l.sees(l.outside, "", "[2001:db8::1]:8080", "2001:db8::2")
	l.sees(l.pod, "", "192.0.2.1:8080", "10.1.0.1")
	l.sees(l.pod, "", "[2001:db8::1]:8080", "fd00::1")
	l.sees("", "", "127.0.0.1:8080", "10.1.0.1")
	l.sees("", "", "192.0.2.1:8080", "192.0.2.1")

	// What a runtime that forgot the ports, or got a broken configuration, sends.
	l.ok("DEL", "abc", `{"cniVersion":"1.1.0","name":"net","type":"portmap","backend":"ebpf"}`)
	l.sees(l.outside, "", "192.0.2.1:8080", "")
	if left := l.run("nft list ruleset | grep -c -e 8080 -e pod- || true"); left != "0\n" {
		t.Errorf("left after DEL: %s", l.run("nft list ruleset"))
	}
	l.ok("DEL", "abc", config(tcp8080))
	if code, out := l.verb("CHECK", "abc", config(tcp8080)); code == 0 || !strings.Contains(out, "8080") {
		t.Errorf("CHECK after DEL: %s", out)
	}
}

func TestOptions(t *testing.T) {
	for name, test := range map[string]struct {
		keys                string
		outside, host, self string // what the pod sees of clients
	}{
		"default":             {`"x":0`, "192.0.2.2", "10.1.0.1", "10.1.0.1"},
		"no snat":             {`"snat":false`, "192.0.2.2", "", ""},
		"masqAll":             {`"masqAll":true`, "10.1.0.1", "10.1.0.1", "10.1.0.1"},
		"nftables":            {`"backend":"nftables"`, "192.0.2.2", "10.1.0.1", "10.1.0.1"},
		"iptables, mark":      {`"backend":"iptables","markMasqBit":5`, "192.0.2.2", "10.1.0.1", "10.1.0.1"},
		"mark chain":          {`"externalSetMarkChain":"KUBE-MARK-MASQ"`, "192.0.2.2", "10.1.0.1", "10.1.0.1"},
		"condition that fits": {`"conditionsV4":["-s","192.0.2.0/24"]`, "192.0.2.2", "", ""},
		"condition of nft":    {`"backend":"nftables","conditionsV4":["ip","saddr","!=","192.0.2.2"]`, "", "10.1.0.1", "10.1.0.1"},
		"interface":           {`"conditionsV4":["!","-i","up0"]`, "", "10.1.0.1", "10.1.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			l.serve("tcp4", "10.1.2.3:80")
			l.ok("ADD", "abc", config(test.keys+","+tcp8080))
			l.ok("CHECK", "abc", config(test.keys+","+tcp8080))
			l.sees(l.outside, "192.0.2.2", "192.0.2.1:8080", test.outside)
			l.sees("", "", "127.0.0.1:8080", test.host)
			l.sees(l.pod, "", "192.0.2.1:8080", test.self)
			l.ok("DEL", "abc", `{"cniVersion":"1.1.0","name":"net","type":"portmap"}`)
			l.sees(l.outside, "192.0.2.2", "192.0.2.1:8080", "")
		})
	}
}

// TestConditionsAreTheirNetworksOwn: the reference's last ADD writes its
// conditions before everybody's host ports.
func TestConditionsAreTheirNetworksOwn(t *testing.T) {
	l := newLab(t)
	l.serve("tcp4", "10.1.2.3:80")
	other := `"runtimeConfig":{"portMappings":[{"hostPort":8081,"containerPort":80,"protocol":"tcp"}]}`
	l.ok("ADD", "open", config(tcp8080))
	l.ok("ADD", "picky", strings.Replace(config(`"conditionsV4":["-s","192.0.2.3/32"],`+other), `"net"`, `"picky"`, 1))
	l.sees(l.outside, "192.0.2.2", "192.0.2.1:8080", "192.0.2.2")
	l.sees(l.outside, "192.0.2.2", "192.0.2.1:8081", "")
	l.sees(l.outside, "192.0.2.3", "192.0.2.1:8081", "192.0.2.3")
	l.ok("GC", "", `{"cniVersion":"1.1.0","name":"picky","type":"portmap","cni.dev/valid-attachments":[]}`)
	l.sees(l.outside, "192.0.2.3", "192.0.2.1:8081", "")
	l.sees(l.outside, "192.0.2.2", "192.0.2.1:8080", "192.0.2.2")
}

func TestCheckNoticesEachDamage(t *testing.T) {
	for name, damage := range map[string]string{
		"mapping":        "nft delete element ip mascri hostports '{ tcp . 8080 }'",
		"IPv6 mapping":   "nft delete element ip6 mascri hostports '{ tcp . 8080 }'",
		"flushed":        "nft flush ruleset",
		"rules":          "nft flush chain ip mascri lookup",
		"hairpin":        "nft flush set ip mascri hairpin",
		"guard":          "nft flush set ip mascri guarded",
		"route_localnet": "sysctl -qw net.ipv4.conf.br0.route_localnet=0",
		"leads elsewhere": `nft 'delete element ip mascri hostports { tcp . 8080 }'
			nft add element ip mascri hostports '{ tcp . 8080 : 10.1.2.4 . 80 }'`,
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			l.ok("ADD", "abc", config(tcp8080))
			l.ok("CHECK", "abc", config(tcp8080))
			l.run(damage)
			if code, out := l.verb("CHECK", "abc", config(tcp8080)); code != 1 || !strings.Contains(out, `"code": 102`) && !strings.Contains(out, `"code":102`) {
				t.Errorf("CHECK says %s", out)
			}
			l.ok("ADD", "abc", config(tcp8080))
			l.ok("CHECK", "abc", config(tcp8080))
		})
	}
}

func TestRefusals(t *testing.T) {
	l := newLab(t)
	for name, test := range map[string]struct{ command, config, says string }{
		"unchained":   {"ADD", `{"cniVersion":"1.1.0","name":"net","type":"portmap",` + tcp8080 + `}`, "must be called as chained plugin"},
		"bad backend": {"ADD", config(`"backend":"ebpf"`), "failed to parse config: unrecognized backend"},
		"status":      {"STATUS", config(`"backend":"ebpf"`), "unrecognized backend"},
		"no address":  {"ADD", strings.Replace(config(tcp8080), `"name":"eth0"`, `"name":"eth9"`, 1), "no address of eth0"},
	} {
		if code, out := l.verb(test.command, "abc", test.config); code != 1 || !strings.Contains(out, test.says) {
			t.Errorf("%s: %d %s", name, code, out)
		}
	}
	if got := l.run("nft list ruleset"); got != "" {
		t.Errorf("a refused request made %s", got)
	}
	l.ok("STATUS", "", config(`"snat":true`))
}
