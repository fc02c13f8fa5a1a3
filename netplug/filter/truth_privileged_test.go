//go:build privileged

package filter

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// every is one of each step, in the order a plan has them.
func every() []step {
	o := Owner{Network: "net", ContainerID: strings.Repeat("c", 200), IfName: "eth0"}
	other := Owner{Network: "net", ContainerID: "d", IfName: "eth0"}
	any := netip.Addr{}
	return []step{
		Ruleset{IPv4}, Ruleset{IPv6}, Ruleset{Bridge},
		Masquerade{"net", pods4}, Masquerade{"net", pods6}, Masquerade{"one", netip.MustParsePrefix("10.23.0.7/32")},
		Hairpin{"net", pods4, "cni0"}, Hairpin{"net", pods6, "cni0"},
		MasqueradeAll{"net", pods4}, MasqueradeAll{"net", pods6},
		ForwardAccept{"cni0", IPv4}, ForwardAccept{"cni0", IPv6},
		HostPort{o, TCP, any, 8080, netip.AddrPortFrom(podA4, 80), ""},
		HostPort{o, UDP, host4, 53, netip.AddrPortFrom(podA4, 5353), ""},
		HostPort{o, SCTP, any, 8080, netip.AddrPortFrom(podA6, 80), ""},
		HostPort{other, TCP, host6, 53, netip.AddrPortFrom(podB6, 5353), ""},
		Conditions{IPv4, `ip daddr != 192.0.2.0/24 iifname "eth0"`}, Conditions{IPv4, "ip saddr 10.128.0.0/9 meta l4proto tcp"},
		Conditions{IPv6, `ip6 daddr != fc00::/7 iifname != "eth0"`}, Conditions{IPv6, "ip6 saddr 2001:db8::7"},
		HostPort{o, TCP, any, 9090, netip.AddrPortFrom(podA4, 80), `ip daddr != 192.0.2.0/24 iifname "eth0"`},
		HostPort{o, TCP, host6, 9090, netip.AddrPortFrom(podA6, 80), "ip6 saddr 2001:db8::7"},
		SpoofCheck{o, "veth-a", [6]byte{2, 0, 0, 0, 0, 1}},
		SpoofCheck{other, "veth-b", [6]byte{2, 0, 0, 0, 0, 2}},
	}
}

// hosts are the firewalls that a host may have before us.
var hosts = map[string]string{
	"no firewall":  "true",
	"FORWARD DROP": "iptables -P FORWARD DROP; ip6tables -P FORWARD DROP",
	"Docker":       docker,
}

// docker is the part of Docker's ruleset that a bridge meets.
const docker = `for t in iptables ip6tables; do
	$t -N DOCKER-USER; $t -A DOCKER-USER -j RETURN
	$t -A FORWARD -j DOCKER-USER; $t -P FORWARD DROP
done`

// TestTruth runs what the steps print in one namespace and applies them in
// another: nft has to see the same in both.
func TestTruth(t *testing.T) {
	for name, firewall := range hosts {
		t.Run(name, func(t *testing.T) {
			printed := newHost(t)
			var scripts []string
			for _, s := range every() {
				scripts = append(scripts, s.String())
			}
			printed.run(firewall)
			printed.run(strings.Join(scripts, "\n"))
			want := printed.ruleset()

			applied := newHost(t)
			applied.run(firewall)
			applied.apply(every()...)
			if diff := cmp.Diff(want, applied.ruleset()); diff != "" {
				t.Errorf("printed and applied differ (-printed +applied):\n%s", diff)
			}
			if want := printed.run("iptables -S; ip6tables -S"); want != applied.run("iptables -S; ip6tables -S") {
				t.Errorf("iptables -S, printed:\n%s\napplied:\n%s", want, applied.run("iptables -S; ip6tables -S"))
			}
			before := applied.run("nft -a list ruleset")
			applied.apply(every()...)
			if after := applied.run("nft -a list ruleset"); after != before {
				t.Errorf("applying again changed the ruleset:\n%s", cmp.Diff(before, after))
			}
		})
	}
}

// ruleset is everything nft lists, one object a line, without what the kernel
// numbers and in an order of its own.
func (l *lab) ruleset() []string {
	l.Helper()
	var listing struct{ Nftables []any }
	if err := json.Unmarshal([]byte(l.run("nft -j list ruleset")), &listing); err != nil {
		l.Fatal(err)
	}
	var lines []string
	for _, object := range listing.Nftables {
		withoutHandles(object)
		line, err := json.Marshal(object)
		if err != nil {
			l.Fatal(err)
		}
		lines = append(lines, string(line))
	}
	slices.Sort(lines)
	return lines
}

// withoutHandles removes handles, and sorts the elements of sets.
func withoutHandles(value any) {
	switch v := value.(type) {
	case map[string]any:
		delete(v, "handle")
		for key, inner := range v {
			withoutHandles(inner)
			if elements, ok := inner.([]any); ok && key == "elem" {
				slices.SortFunc(elements, func(a, b any) int { return strings.Compare(text(a), text(b)) })
			}
		}
	case []any:
		for _, inner := range v {
			withoutHandles(inner)
		}
	}
}

func text(value any) string {
	line, err := json.Marshal(value)
	if err != nil {
		return err.Error()
	}
	return string(line)
}
