//go:build privileged

package netplug

import (
	"context"
	"net/netip"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mascri/mascri/netplug/filter"
	"github.com/mascri/mascri/spec"
)

// plans are configurations whose plans between them have every kind of step.
func plans() map[string]Config {
	base := Config{
		Network: "lab", Attachment: spec.Attachment{ContainerID: "c1", IfName: "eth0"},
		Bridge: "br-lab", IPAM: "ipam", MAC: []byte{2, 0, 0, 0, 0, 9},
	}
	gateway := base
	gateway.IsGateway, gateway.DefaultGateway, gateway.Masquerade, gateway.MTU = true, true, true, 1400
	ports := gateway
	ports.Hairpin, ports.Isolated, ports.SpoofCheck = true, true, true
	ports.Ports = []filter.Mapping{
		{HostPort: 8080, ContainerPort: 80, Protocol: filter.TCP},
		{HostIP: netip.MustParseAddr("192.0.2.1"), HostPort: 53, ContainerPort: 53, Protocol: filter.UDP},
	}
	promisc := base
	promisc.Promisc = true
	return map[string]Config{"layer 2": base, "gateway": gateway, "host ports": ports, "promiscuous": promisc}
}

func leasesFor(name string) ([]Lease, []Route) {
	if name == "layer 2" {
		return nil, nil
	}
	leases := []Lease{
		{Address: netip.MustParsePrefix("10.88.0.5/24")},
		{Address: netip.MustParsePrefix("fd88::5/64")},
	}
	return leases, []Route{{Dst: netip.MustParsePrefix("198.51.100.0/24"), Gateway: netip.MustParseAddr("10.88.0.7"), MTU: 1300, Priority: 7}}
}

// TestTruth holds the printed commands against what is done: the script runs in
// one node, the plan is applied in another, and `ip`, `bridge`, `nft` and
// `sysctl` must say the same of both. It keeps the dry run, the trace and the
// documentation honest.
func TestTruth(t *testing.T) {
	for name, cfg := range plans() {
		t.Run(name, func(t *testing.T) {
			leases, routes := leasesFor(name)
			states := make(chan string, 2)
			t.Run("script", func(t *testing.T) {
				l := newLab(t)
				pod := dockerLike(l, &cfg)
				script := PlanBridge(cfg, leases, routes).Script()
				if out, err := exec.Command("timeout", "20", "sh", "-exc", script).CombinedOutput(); err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
				states <- l.state(pod)
			})
			t.Run("plan", func(t *testing.T) {
				l := newLab(t)
				pod := dockerLike(l, &cfg)
				k, err := openKernel()
				if err != nil {
					t.Fatal(err)
				}
				defer k.close()
				if err := k.openPod(pod); err != nil {
					t.Fatal(err)
				}
				plan := PlanBridge(cfg, leases, routes)
				for range 2 { // what is so already may be applied again, but for what belongs to the pod
					if err := (Plan{Node: plan.Node}).apply(context.Background(), k); err != nil {
						t.Fatal(err)
					}
				}
				if err := (Plan{Pod: plan.Pod}).apply(context.Background(), k); err != nil {
					t.Fatal(err)
				}
				if err := plan.check(k); err != nil {
					t.Errorf("CHECK right after: %v", err)
				}
				states <- l.state(pod)
			})
			if len(states) != 2 {
				t.Fatal("one of the two did not work")
			}
			if diff := cmp.Diff(strings.Split(<-states, "\n"), strings.Split(<-states, "\n")); diff != "" {
				t.Errorf("the script (-) and the plan (+) differ:\n%s", diff)
			}
		})
	}
}

// dockerLike gives the node a policy that the plan has to open, and the plan a
// pod.
func dockerLike(l *lab, cfg *Config) string {
	l.sh("iptables -N DOCKER-USER; iptables -A FORWARD -j DOCKER-USER; iptables -P FORWARD DROP")
	cfg.Netns = l.pod()
	return cfg.Netns
}

// noise is what differs between two runs by nature: indexes, handles, counters,
// random MACs and the addresses made of them, times.
var noise = []*regexp.Regexp{
	regexp.MustCompile(`"(ifindex|link_index|handle|valid_life_time|preferred_life_time|link_netnsid|packets|bytes|ageing|hello_timer|tcn_timer|topology_change_timer|gc_timer|forward_delay_timer)": ?[0-9.]+`),
	regexp.MustCompile(`"(root_id|bridge_id|designated_root|designated_bridge)": ?"[^"]*"`),
	regexp.MustCompile(`([0-9a-f]{2}:){5}[0-9a-f]{2}`),
	regexp.MustCompile(`fe80::[0-9a-f:]+`),
	regexp.MustCompile(`"(ref|metainfo)":.*`),
	regexp.MustCompile(`"operstate": "(UP|UNKNOWN)"`), // a bridge's carrier settles a moment later
	regexp.MustCompile(`counter packets \d+ bytes \d+`),
}

// state is everything that the steps may touch, as the standard tools print it.
func (l *lab) state(pod string) string {
	l.Helper()
	// Link-local addresses, multicast routes and carrier settle on their own.
	text := l.sh(`ip -j -p -d link show; ip -j -p -4 addr show; ip -j -p -6 addr show scope global
		bridge -j -p -d link show; nft list ruleset | sort; iptables -S; ip6tables -S
		sysctl net.ipv4.ip_forward net.ipv6.conf.all.forwarding; sysctl -e net.ipv4.conf.br-lab.route_localnet net.ipv6.conf.br-lab.accept_ra`)
	text += l.sh(`nsenter --net=` + pod + ` sh -ec '
		ip -j -p -d link show; ip -j -p -4 addr show; ip -j -p -6 addr show scope global
		ip route; ip -6 route show proto boot; ip -6 route show proto static
		sysctl -e net.ipv4.conf.eth0.arp_notify net.ipv6.conf.eth0.accept_ra net.ipv6.conf.eth0.accept_dad net.ipv6.conf.eth0.keep_addr_on_down net.ipv6.conf.eth0.disable_ipv6'`)
	for _, n := range noise {
		text = n.ReplaceAllString(text, "*")
	}
	return text
}
