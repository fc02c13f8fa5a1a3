//go:build privileged

package differential

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// TestBetterThanReference tries each claim with both implementations. One that
// the reference meets as well is no claim any more.
func TestBetterThanReference(t *testing.T) {
	skipShort(t)
	for _, c := range claims {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			try, ok := tries[c.name]
			if !ok {
				t.Fatal("there is no script of this name")
			}
			var fault, theirs string
			t.Run("run", func(t *testing.T) {
				t.Run("ours", func(t *testing.T) { t.Parallel(); fault = try(newLab(t, ours)) })
				t.Run("reference", func(t *testing.T) { t.Parallel(); theirs = try(newLab(t, reference)) })
			})
			if fault != "" {
				t.Errorf("with ours: %s", fault)
			}
			if theirs == "" {
				t.Error("the reference does as well: take it off the list")
			}
			t.Logf("the reference: %s", theirs)
		})
	}
}

// tries are the scripts: what is wrong afterwards, "" for nothing.
var tries = map[string]func(*lab) string{
	"DEL without a namespace": func(l *lab) string {
		p := l.attach("pod-one", masqueraded)
		l.verb("DEL", sandbox{id: p.id}, nil, masqueraded...)
		return l.left()
	},
	"DEL with a vanished namespace": func(l *lab) string {
		p := l.attach("pod-one", masqueraded)
		l.sh("nsenter --net=" + p.netns + " ip link del eth0") // as the kernel does with a namespace's end
		l.verb("DEL", sandbox{id: p.id, netns: "/run/netns/gone"}, nil, masqueraded...)
		return l.left()
	},
	"DEL after the link is gone": func(l *lab) string {
		p := l.attach("pod-one", masqueraded)
		l.sh("nsenter --net=" + p.netns + " ip link del eth0")
		l.verb("DEL", p.sandbox, p.result, masqueraded...)
		return l.left()
	},
	"DEL without runtimeConfig": func(l *lab) string {
		p := l.attach("pod-one", portmapped(v4dflt, tcp80))
		l.verb("DEL", p.sandbox, p.result, portmapped(v4dflt, `"snat":true`)...)
		return l.left()
	},
	"connections of a removed pod": connections,
	"failed ADD": func(l *lab) string {
		p := sandbox{id: "pod-one", netns: l.pod()}
		if _, a := l.verb("ADD", p, nil, leases(`"subnet":"10.88.0.0/24","rangeStart":"10.88.0.1","rangeEnd":"10.88.0.1"`)); a.exit == 0 {
			return "an address where there is none"
		}
		return strings.TrimSpace(l.attached() + l.sh("ip -br link show type bridge; ls DATA/leases 2>/dev/null || true"))
	},
	"failed second ADD": func(l *lab) string {
		config := func(keys string) string {
			return `{"type":"host-local",` + keys + `"ipam":{"dataDir":"DATA/leases","ranges":[[{"subnet":"10.88.0.0/24"}],[{"subnet":"fd88::/64"}]]}}`
		}
		one := l.attach("pod-one", []string{config("")})
		l.attach("pod-two", []string{config(`"runtimeConfig":{"ips":["fd88::77"]},`)})
		before := l.attached()
		l.verb("ADD", one.sandbox, nil, config(`"runtimeConfig":{"ips":["10.88.0.9","fd88::77"]},`))
		if after := l.attached(); after != before {
			return "the leases were " + before + "and are " + after
		}
		return ""
	},
	"GC": func(l *lab) string {
		l.attach("pod-one", masqueraded)
		two := l.attach("pod-two", masqueraded)
		l.sh("nsenter --net=" + two.netns + " ip link del eth0")
		l.verb("GC", sandbox{}, nil, strings.Replace(masqueraded[0], "{", `{"cni.dev/valid-attachments":[{"containerID":"pod-one","ifname":"eth0"}],`, 1))
		return l.sh("{ ls DATA/leases/lab; nft list ruleset; } | grep -e 10.88.0.3 -e pod-two || true")
	},
	"STATUS of an exhausted pool": func(l *lab) string {
		network := leases(`"subnet":"10.88.0.0/30"`)
		l.attach("pod-one", []string{network})
		_, a := l.verb("STATUS", sandbox{}, nil, network)
		return unless(l.code(a) == 50, "exit %d %s", a.exit, a.stdout)
	},
	"CHECK": damages,
	"lease from before a reboot": func(l *lab) string {
		l.sh("echo 11111111-2222-3333-4444-555555555555 >DATA/boot; mount --bind DATA/boot /proc/sys/kernel/random/boot_id")
		network := leases(`"subnet":"10.88.0.0/30"`)
		one := l.attach("pod-one", []string{network})
		l.sh("nsenter --net=" + one.netns + " ip link del eth0; echo 66666666-7777-8888-9999-000000000000 >DATA/boot")
		_, a := l.verb("ADD", sandbox{id: "pod-two", netns: l.pod()}, nil, network)
		return unless(a.exit == 0, "%s", a.stdout)
	},
	"empty lease": func(l *lab) string {
		l.sh("mkdir -p DATA/leases/lab; : >DATA/leases/lab/10.88.0.2")
		_, a := l.verb("ADD", sandbox{id: "pod-one", netns: l.pod()}, nil, leases(`"subnet":"10.88.0.0/30"`))
		return unless(a.exit == 0, "%s", a.stdout)
	},
	"IPv6 at once": func(l *lab) string {
		p := l.attach("pod-one", []string{bridge(`"isGateway":true,` + v6)})
		return l.sh("ip -6 -br addr show dev cni0 scope global tentative; nsenter --net=" + p.netns + " ip -6 -br addr show dev eth0 scope global tentative")
	},
	"router advertisements": func(l *lab) string {
		l.attach("pod-one", []string{bridge(`"isGateway":true,` + v6)})
		got := l.sh("sysctl -n net.ipv6.conf.uplink.accept_ra net.ipv6.conf.all.forwarding")
		return unless(got == "2\n1\n", "accept_ra and forwarding are %q", got)
	},
	"MAC of the bridge": func(l *lab) string {
		mac := func() string { return l.sh("cat /sys/class/net/cni0/address") }
		one := l.attach("pod-one", one(bridge(v4)))
		before := mac()
		l.attach("pod-two", []string{bridge(`"args":{"cni":{"mac":"02:00:00:00:00:01"}},` + v4)})
		l.verb("DEL", one.sandbox, one.result, bridge(v4))
		after := mac()
		return unless(before == after, "from %s to %s", before, after)
	},
	"existing bridge": func(l *lab) string {
		l.sh("ip link add cni0 type bridge; ip link set cni0 mtu 1300 up")
		l.attach("pod-one", []string{bridge(`"mtu":1400,` + v4)})
		got := strings.TrimSpace(l.sh("cat /sys/class/net/cni0/mtu"))
		return unless(got == "1400", "the bridge has an MTU of %s, its ports of 1400", got)
	},
	"conditions of another network": func(l *lab) string {
		p := l.attach("pod-one", portmapped(v4dflt, `"backend":"nftables",`+tcp80))
		other := portmapped(strings.ReplaceAll(v4dflt, "10.88", "10.89"), `"name":"other","backend":"nftables","conditionsV4":["ip","saddr","198.51.100.9"],`+strings.Replace(tcp80, "8000", "8001", 1))
		other[0] = strings.Replace(other[0], "{", `{"name":"other","bridge":"br-other",`, 1)
		l.attach("pod-two", other)
		return l.unreached(p.netns, l.outside)
	},
	"host ports of another network": func(l *lab) string {
		p := l.attach("pod-one", portmapped(v4dflt, `"backend":"nftables",`+tcp80))
		other := portmapped(strings.ReplaceAll(v4dflt, "10.88", "10.89"), `"name":"other","backend":"nftables",`+strings.Replace(tcp80, "8000", "8001", 1))
		other[0] = strings.Replace(other[0], "{", `{"name":"other","bridge":"br-other",`, 1)
		second := sandbox{id: p.id, netns: p.netns, ifname: "eth1"}
		result, a := l.verb("ADD", second, nil, other...)
		if a.exit != 0 {
			l.Fatalf("ADD in the other network: %s", a.stdout)
		}
		l.verb("DEL", second, result, other...)
		return l.unreached(p.netns, l.outside)
	},
	"newest host port": func(l *lab) string {
		network := portmapped(v4dflt, `"backend":"iptables",`+tcp80)
		l.attach("pod-one", network)
		two := l.attach("pod-two", network)
		return l.unreached(two.netns, l.outside)
	},
	"host port from another pod": func(l *lab) string {
		l.sh("sysctl -qw net.bridge.bridge-nf-call-iptables=0 2>/dev/null || true")
		p := l.attach("pod-one", portmapped(v4dflt, `"backend":"nftables",`+tcp80))
		other := l.attach("pod-two", []string{bridge(`"isGateway":true,"ipMasq":true,` + v4dflt)})
		return l.unreached(p.netns, other.netns)
	},
	"interrupted dumps": interruptedDumps,
	"error codes":       codes,
}

// masqueraded leaves state of every kind but host ports.
var masqueraded = []string{bridge(`"isDefaultGateway":true,"ipMasq":true,"macspoofchk":true,` + v4)}

// A sandbox is what a verb is called for.
type sandbox struct{ id, netns, ifname string }

// An attachedPod also has what its ADD returned.
type attachedPod struct {
	sandbox
	result object
}

// attach runs ADD for a new pod; it must succeed.
func (l *lab) attach(id string, chain []string) attachedPod {
	l.Helper()
	p := sandbox{id: id, netns: l.pod()}
	result, a := l.verb("ADD", p, nil, chain...)
	if a.exit != 0 {
		l.Fatalf("ADD of %s: %s%s", id, a.stdout, a.stderr)
	}
	return attachedPod{p, result}
}

// verb runs a command through the chain, backwards for DEL, up to the first
// plugin that fails. It returns the last result, and the last answer.
func (l *lab) verb(command string, p sandbox, prev object, chain ...string) (object, answer) {
	l.Helper()
	if command == "DEL" {
		chain = slices.Clone(chain)
		slices.Reverse(chain)
	}
	var a answer
	for _, text := range chain {
		plugin := l.object(text)
		if plugin["name"] == nil {
			plugin["name"] = networkName
		}
		plugin["cniVersion"] = "1.1.0"
		if prev != nil {
			plugin["prevResult"] = prev
		}
		a = l.execute(call{command: command, id: p.id, netns: p.netns, ifname: p.ifname, plugin: plugin})
		if a.exit != 0 {
			break
		}
		if command == "ADD" {
			prev = object{}
			if err := json.Unmarshal([]byte(a.stdout), &prev); err != nil {
				l.Fatalf("%s: %v", a.stdout, err)
			}
		}
	}
	return prev, a
}

func (l *lab) code(a answer) int {
	l.Helper()
	var e struct{ Code int }
	if a.exit != 0 {
		if err := json.Unmarshal([]byte(a.stdout), &e); err != nil {
			l.Fatalf("%s: %v", a.stdout, err)
		}
	}
	return e.Code
}

// unless is a complaint where something does not hold.
func unless(holds bool, complaint string, args ...any) string {
	if holds {
		return ""
	}
	return fmt.Sprintf(complaint, args...)
}

// unreached complains where nothing in the namespace answers on host port 8000.
func (l *lab) unreached(server, client string) string {
	l.Helper()
	w := &run{lab: l, seen: observation{}}
	w.serve(server, "8080")
	seen := w.ask(client, "tcp", nodeV4, "8000")
	return unless(seen != "nothing", "host port 8000 does not answer")
}

// connections has a client outside, whose packets are tracked.
func connections(l *lab) string {
	network := portmapped(v4dflt, strings.ReplaceAll(tcp80, "tcp", "udp"))
	p := l.attach("pod-one", network)
	w := &run{lab: l, seen: observation{}}
	w.serve(p.netns, "8080")
	if seen := w.ask(l.outside, "udp", nodeV4, "8000"); seen == "nothing" {
		l.Fatal("the host port does not answer")
	}
	l.verb("DEL", p.sandbox, p.result, network...)
	flows, err := netlink.ConntrackTableList(netlink.ConntrackTable, unix.AF_INET)
	if err != nil {
		l.Fatal(err)
	}
	for _, flow := range flows {
		if flow.Forward.DstPort == 8000 {
			return flow.String()
		}
	}
	return ""
}

// damages lists what CHECK does not notice.
func damages(l *lab) string {
	network := bridge(`"bridge":"br-lab","isGateway":true,"ipMasq":true,"hairpinMode":true,"portIsolation":true,` + v4)
	p := l.attach("pod-one", []string{network})
	var missed []string
	for name, command := range map[string]string{
		"bridge down":     "ip link set br-lab down",
		"gateway address": "ip addr del 10.88.0.1/24 dev br-lab",
		"forwarding":      "sysctl -qw net.ipv4.ip_forward=0",
		"hairpin":         "bridge link set dev HOST hairpin off",
		"isolation":       "bridge link set dev HOST isolated off",
		"masquerade":      "nft flush ruleset",
	} {
		if _, a := l.verb("CHECK", p.sandbox, p.result, network); a.exit != 0 {
			l.Fatalf("CHECK before %s: %s", name, a.stdout)
		}
		host := p.result["interfaces"].([]any)[1].(object)["name"].(string)
		l.sh(strings.ReplaceAll(command, "HOST", host))
		if _, a := l.verb("CHECK", p.sandbox, p.result, network); a.exit == 0 {
			missed = append(missed, name)
		}
		l.verb("DEL", p.sandbox, p.result, network)
		p.result, _ = l.verb("ADD", p.sandbox, nil, network)
	}
	slices.Sort(missed)
	return strings.Join(missed, ", ")
}

// codes lists requests that are answered with none of the specification's codes.
func codes(l *lab) string {
	var wrong []string
	p := sandbox{id: "pod-one", netns: l.pod()}
	for _, c := range []struct {
		what, command string
		sandbox
		config string
		code   int
	}{
		{"namespace that is none", "ADD", sandbox{id: "pod-one", netns: "/etc/passwd"}, bridge(v4), 8},
		{"namespace that is missing", "ADD", sandbox{id: "pod-one", netns: "/nowhere"}, bridge(v4), 8},
		{"key that is wrong", "ADD", p, bridge(`"vlan":5000,` + v4), 7},
		{"range that is wrong", "ADD", p, leases(`"subnet":"10.88.0.7/24"`), 7},
		{"host port that is none", "ADD", p, `{"type":"portmap","prevResult":{"cniVersion":"1.1.0"},"runtimeConfig":{"portMappings":[{"hostPort":0,"containerPort":1,"protocol":"tcp"}]}}`, 7},
		{"interface that exists", "ADD", sandbox{id: "pod-one", netns: p.netns, ifname: "lo"}, bridge(v4), 4},
		{"CHECK without prevResult", "CHECK", p, bridge(v4), 7},
	} {
		if _, a := l.verb(c.command, c.sandbox, nil, c.config); l.code(a) != c.code {
			wrong = append(wrong, fmt.Sprintf("%s: code %d, not %d", c.what, l.code(a), c.code))
		}
	}
	return strings.Join(wrong, "; ")
}

// TestEachScriptIsAClaim: a script that no claim names would never run.
func TestEachScriptIsAClaim(t *testing.T) {
	for name := range tries {
		if !slices.ContainsFunc(claims, func(c claim) bool { return c.name == name }) {
			t.Errorf("%q is on no list", name)
		}
	}
}
