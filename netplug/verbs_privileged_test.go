//go:build privileged

package netplug

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mascri/mascri/spec"
)

// node is the path of the node's namespace.
func (l *lab) node() string {
	return fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), unix.Gettid())
}

// parsed is the part of a result that the tests look at.
type parsed struct {
	Interfaces []struct{ Name, Mac, Sandbox string }
	IPs        []struct {
		Address, Gateway string
		Interface        int
	}
	Routes []struct{ Dst, GW string }
}

func (l *lab) result(a answer) parsed {
	l.Helper()
	var p parsed
	if err := json.Unmarshal([]byte(a.stdout), &p); err != nil {
		l.Fatalf("%q: %v", a.stdout, err)
	}
	return p
}

func (p parsed) ip(i int) string {
	address, _, _ := strings.Cut(p.IPs[i].Address, "/")
	return address
}

func TestTwoPodsTalk(t *testing.T) {
	l := newLab(t)
	config := l.config(`"isDefaultGateway":true,"ipMasq":true,"mtu":1400,` + dual)
	a, b := l.pod(), l.pod()
	ra := l.result(l.must(call{command: "ADD", id: "a", netns: a, config: config}))
	rb := l.result(l.must(call{command: "ADD", id: "b", netns: b, config: config}))

	for i := range 2 { // IPv4 and IPv6, the moment ADD has returned
		address := "[" + rb.ip(i) + "]:8080"
		l.serve(b, address)
		for name, from := range map[string]string{"pod a": a, "the node": l.node()} {
			if _, err := l.ask(from, address); err != nil {
				t.Errorf("%s cannot reach pod b at %s: %v", name, address, err)
			}
		}
		if got, err := l.ask(a, address); err != nil || got != "from "+ra.ip(i) {
			t.Errorf("pod b saw %q, %v; expected pod a's own address %s", got, err, ra.ip(i))
		}
	}
	if len(ra.Interfaces) != 3 || ra.Interfaces[0].Name != "br-lab" || ra.Interfaces[2].Sandbox != a || ra.IPs[0].Interface != 2 {
		t.Errorf("result %+v", ra)
	}
	for id, netns := range map[string]string{"a": a, "b": b} {
		l.must(call{command: "DEL", id: id, netns: netns, config: config})
	}
	if left := l.leftovers(); left != "" {
		t.Errorf("left after DEL:\n%s", left)
	}
}

// TestDockerHost has the ruleset that Docker leaves on a node, and frames
// between bridge ports pass through it.
func TestDockerHost(t *testing.T) {
	l := newLab(t)
	l.sh(`iptables -N DOCKER-USER; iptables -A FORWARD -j DOCKER-USER; iptables -A DOCKER-USER -j RETURN; iptables -P FORWARD DROP
		ip6tables -P FORWARD DROP
		sysctl -qw net/bridge/bridge-nf-call-iptables=1 net/bridge/bridge-nf-call-ip6tables=1`)
	outside := l.pod()
	l.sh(`ip link add uplink type veth peer name eth0 netns ` + outside + `
		ip addr add 192.0.2.1/24 dev uplink; ip link set uplink up
		nsenter --net=` + outside + ` sh -c 'ip addr add 192.0.2.9/24 dev eth0; ip link set eth0 up'`)

	config := l.config(`"isDefaultGateway":true,"ipMasq":true,"runtimeConfig":{"portMappings":[{"hostPort":8080,"containerPort":80,"protocol":"tcp"}]},` + v4)
	plain := l.config(`"isDefaultGateway":true,"ipMasq":true,` + v4)
	server, client := l.pod(), l.pod()
	rs := l.result(l.must(call{command: "ADD", id: "server", netns: server, config: config}))
	l.must(call{command: "ADD", id: "client", netns: client, config: plain})
	l.serve(server, ":80")
	l.serve(outside, ":7000")

	for _, way := range []struct{ name, from, to, seen string }{
		{"pod to pod", client, rs.ip(0) + ":80", ""},
		{"pod to the outside, masqueraded", client, "192.0.2.9:7000", "from 192.0.2.1"},
		{"outside to a host port", outside, "192.0.2.1:8080", "from ::ffff:192.0.2.9"},
		{"pod to its own host port", server, "192.0.2.1:8080", ""},
		{"another pod to the host port", client, "192.0.2.1:8080", ""},
		{"the node to its host port", l.node(), "192.0.2.1:8080", ""},
		{"the node to its host port on 127.0.0.1", l.node(), "127.0.0.1:8080", ""},
	} {
		got, err := l.ask(way.from, way.to)
		if err != nil || way.seen != "" && strings.Replace(got, "::ffff:", "", 1) != strings.Replace(way.seen, "::ffff:", "", 1) {
			t.Errorf("%s: %q, %v", way.name, got, err)
		}
	}
	l.must(call{command: "DEL", id: "server", config: plain}) // neither netns nor runtimeConfig
	if _, err := l.ask(outside, "192.0.2.1:8080"); err == nil {
		t.Error("the host port answers after DEL")
	}
	l.must(call{command: "DEL", id: "client", netns: client, config: plain})
	if left := strings.ReplaceAll(l.leftovers(), "uplink", ""); strings.Contains(left, "veth") || strings.Contains(left, "pod-") {
		t.Errorf("left after DEL:\n%s", left)
	}
}

func TestCheckNoticesDamage(t *testing.T) {
	damages := []struct{ name, command string }{
		{"bridge down", "ip link set br-lab down"},
		{"gateway address", "ip addr del 10.88.0.1/24 dev br-lab"},
		{"IPv6 gateway address", "ip addr del fd88::1/64 dev br-lab"},
		{"forwarding", "sysctl -qw net/ipv4/ip_forward=0"},
		{"IPv6 forwarding", "sysctl -qw net/ipv6/conf/all/forwarding=0"},
		{"host end down", "ip link set HOST down"},
		{"host end nowhere", "ip link set HOST nomaster"},
		{"host end elsewhere", "ip link add other type bridge; ip link set other up; ip link set HOST master other"},
		{"host end MTU", "ip link set HOST mtu 1300"},
		{"hairpin", "bridge link set dev HOST hairpin off"},
		{"isolation", "bridge link set dev HOST isolated off"},
		{"masquerade", "nft flush set ip mascri sources"},
		{"IPv6 masquerade", "nft flush set ip6 mascri sources"},
		{"rule of masquerading", "nft flush chain ip mascri postrouting"},
		{"host port", "nft flush map ip mascri hostports"},
		{"IPv6 host port", "nft flush map ip6 mascri hostports"},
		{"rule of host ports", "nft flush chain ip mascri lookup"},
		{"host port from 127.0.0.1", "sysctl -qw net/ipv4/conf/br-lab/route_localnet=0"},
		{"guard of 127.0.0.1", "nft flush set ip mascri guarded"},
		{"spoof check", "nft flush set bridge mascri checked"},
		{"pod end down", "nsenter --net=POD ip link set eth0 down"},
		{"pod MTU", "nsenter --net=POD ip link set eth0 mtu 1300"},
		{"pod MAC", "nsenter --net=POD ip link set eth0 address 02:00:00:00:00:99"},
		{"pod address", "nsenter --net=POD ip addr del 10.88.0.2/24 dev eth0"},
		{"pod IPv6 address", "nsenter --net=POD ip addr del fd88::2/64 dev eth0"},
		{"pod route", "nsenter --net=POD ip route del default"},
		{"pod IPv6 route", "nsenter --net=POD ip -6 route del default"},
		{"bridge MAC", "ip link set br-lab address 02:00:00:00:00:98"},
		{"pod end gone", "nsenter --net=POD ip link del eth0"},
		{"lease", "rm DATA/lab/10.88.0.2"},
		{"IPv6 lease", "rm DATA/lab/fd88::2"},
		{"lease of another", "printf 'x\r\neth0' >DATA/lab/10.88.0.2"},
	}
	for _, damage := range damages {
		t.Run(damage.name, func(t *testing.T) {
			l := newLab(t)
			config := l.config(`"isGateway":true,"ipMasq":true,"mtu":1400,"hairpinMode":true,"portIsolation":true,"macspoofchk":true,
				"runtimeConfig":{"portMappings":[{"hostPort":8080,"containerPort":80,"protocol":"tcp"}]},` + dual)
			pod := l.pod()
			added := l.must(call{command: "ADD", id: "a", netns: pod, config: config})
			c := call{command: "CHECK", id: "a", netns: pod, config: withPrev(t, config, added.stdout)}
			l.must(c)
			command := strings.NewReplacer("HOST", l.result(added).Interfaces[1].Name, "POD", pod, "DATA", l.data).Replace(damage.command)
			l.sh(command)
			if a := l.run(c); a.code == 0 {
				t.Errorf("CHECK is content after: %s", command)
			}
		})
	}
}

func TestSecondAddKeepsTheLiveLease(t *testing.T) {
	l := newLab(t)
	pod, config := l.pod(), l.config(`"isGateway":true,`+v4)
	added := l.must(call{command: "ADD", id: "a", netns: pod, config: config})
	l.refused(call{command: "ADD", id: "a", netns: pod, config: config}, spec.InvalidEnv, "already exists")
	l.must(call{command: "CHECK", id: "a", netns: pod, config: withPrev(t, config, added.stdout)})
}

func TestDelNeedsNothing(t *testing.T) {
	for name, change := range map[string]func(l *lab, c *call){
		"empty netns":    func(_ *lab, c *call) { c.netns = "" },
		"vanished netns": func(_ *lab, c *call) { c.netns = "/nowhere/ns" },
		"host's netns":   func(l *lab, c *call) { c.netns = l.node() },
		"link gone":      func(l *lab, c *call) { l.sh("nsenter --net=" + c.netns + " ip link del eth0") },
		"twice":          func(l *lab, c *call) { l.must(*c) },
		"ranges gone":    func(l *lab, c *call) { c.config = l.config(`"ipam":{"type":"ipam","dataDir":"DATA"}`) },
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			pod := l.pod()
			c := call{command: "DEL", id: "a", netns: pod, config: l.config(`"isGateway":true,"ipMasq":true,` + dual)}
			add := c
			add.command = "ADD"
			add.config = l.config(`"isGateway":true,"ipMasq":true,"macspoofchk":true,"runtimeConfig":{"portMappings":[{"hostPort":8080,"containerPort":80,"protocol":"udp"}]},` + dual)
			l.must(add)
			change(l, &c)
			l.must(c)
			if left := l.leftovers(); left != "" {
				t.Errorf("left:\n%s", left)
			}
		})
	}
}

func TestGCFreesOnlyTheStale(t *testing.T) {
	l := newLab(t)
	config := l.config(`"isGateway":true,"ipMasq":true,"runtimeConfig":{"portMappings":[{"hostPort":8080,"containerPort":80,"protocol":"tcp"}]},` + v4)
	other := strings.Replace(l.config(`"isGateway":true,`+strings.ReplaceAll(v4, "10.88", "10.89")), `"lab"`, `"other"`, 1)
	other = strings.Replace(other, "br-lab", "br-other", 1)
	live, stale, foreign := l.pod(), l.pod(), l.pod()
	added := l.must(call{command: "ADD", id: "live", netns: live, config: strings.Replace(config, "8080", "8081", 1)})
	l.must(call{command: "ADD", id: "stale", netns: stale, config: config})
	foreignAdded := l.must(call{command: "ADD", id: "foreign", netns: foreign, config: other})

	l.must(call{command: "GC", config: strings.Replace(config, `{`, `{"cni.dev/valid-attachments":[{"containerID":"live","ifname":"eth0"}],`, 1)})
	l.must(call{command: "CHECK", id: "live", netns: live, config: withPrev(t, strings.Replace(config, "8080", "8081", 1), added.stdout)})
	l.must(call{command: "CHECK", id: "foreign", netns: foreign, config: withPrev(t, other, foreignAdded.stdout)})
	if left := l.leftovers(); strings.Contains(left, "10.88.0.3") || strings.Count(left, "veth") != 2 || strings.Contains(l.sh("nft list ruleset"), " 8080") {
		t.Errorf("GC left:\n%s", left)
	}
	l.refused(call{command: "GC", config: config}, spec.InvalidConfig, "valid-attachments")
}

func TestStatusSaysWhatIsWrong(t *testing.T) {
	config := `"isGateway":true,"ipam":{"type":"ipam","dataDir":"DATA","subnet":"10.88.0.0/30"}`
	for name, c := range map[string]struct {
		prepare, keys string
		code          spec.Code
		culprit       string
	}{
		"bridge is none": {"ip link add br-lab type veth peer name other", config, spec.NotAvailable, "br-lab"},
		"forward drops":  {"nft add table inet fw; nft 'add chain inet fw forward { type filter hook forward priority 0; policy drop; }'", config, spec.LimitedConnectivity, "inet fw forward"},
		"no IPAM plugin": {"true", `"ipam":{"type":"nowhere"}`, spec.NotAvailable, "nowhere"},
		"pool exhausted": {"mkdir -p DATA/lab; printf 'x\r\neth0' >DATA/lab/10.88.0.2", config, spec.NotAvailable, "10.88.0"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			l.must(call{command: "STATUS", config: l.config(config)})
			l.sh(strings.ReplaceAll(c.prepare, "DATA", l.data))
			l.refused(call{command: "STATUS", config: l.config(c.keys)}, c.code, c.culprit)
		})
	}
}

func TestBridgeKeepsItsMAC(t *testing.T) {
	l := newLab(t)
	config := l.config(v4)
	mac := func() string { return l.sh("ip -br link show br-lab | awk '{print $3}'") }
	a, b := l.pod(), l.pod()
	l.must(call{command: "ADD", id: "a", netns: a, config: config})
	before := mac()
	l.must(call{command: "ADD", id: "b", netns: b, config: l.config(`"args":{"cni":{"mac":"02:00:00:00:00:01"}},` + v4)})
	l.must(call{command: "DEL", id: "a", netns: a, config: config})
	l.must(call{command: "DEL", id: "b", netns: b, config: config})
	if after := mac(); after != before {
		t.Errorf("the bridge's MAC went from %s to %s", before, after)
	}
}

// TestStepsNameTheirCommand keeps the trace complete: a line for each step of
// the plan, with the command that does the same.
func TestStepsNameTheirCommand(t *testing.T) {
	l := newLab(t)
	l.trace = true
	a := l.must(call{command: "ADD", id: "a", netns: l.pod(), config: l.config(`"isGateway":true,"ipMasq":true,` + v4)})
	for _, part := range []string{"ip link add br-lab type bridge", "ip addr add 10.88.0.1/24 brd + dev br-lab", "ip_forward=1", "type veth peer name eth0", "ip addr add 10.88.0.2/24", "ip route"} {
		if !strings.Contains(a.stderr, part) {
			t.Errorf("the trace lacks %q:\n%s", part, a.stderr)
		}
	}
}
