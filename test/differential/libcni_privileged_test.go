//go:build privileged

package differential

import (
	"context"
	"strings"
	"testing"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/invoke"
	"github.com/containernetworking/cni/pkg/types"
	current "github.com/containernetworking/cni/pkg/types/100"

	"github.com/mascri/mascri/netplug/netns/netnstest"
)

// A network drives plugins as container runtimes do: through libcni, with a
// list of plugins and the capabilities' arguments.
type network struct {
	*lab
	cni          *libcni.CNIConfig
	list         *libcni.NetworkConfigList
	capabilities map[string]any
}

// network makes one for a configuration list. CNI_PATH has the lab's
// implementation first, then the plugins of others.
func (l *lab) network(conflist string, capabilities map[string]any) *network {
	l.Helper()
	list, err := libcni.NetworkConfFromBytes([]byte(strings.ReplaceAll(conflist, "DATA", l.data)))
	if err != nil {
		l.Fatal(err)
	}
	stderr := &invoke.DefaultExec{RawExec: &invoke.RawExec{Stderr: l.Output()}}
	cni := libcni.NewCNIConfigWithCacheDir([]string{l.bin, others}, l.data+"/cache", stderr)
	return &network{lab: l, cni: cni, list: list, capabilities: capabilities}
}

func (r *network) conf(id, netns string) *libcni.RuntimeConf {
	return &libcni.RuntimeConf{ContainerID: id, NetNS: netns, IfName: "eth0", CapabilityArgs: r.capabilities,
		Args: [][2]string{{"IgnoreUnknown", "1"}, {"K8S_POD_NAME", id}}}
}

// add attaches a pod; it must succeed.
func (r *network) add(id, netns string) *current.Result {
	r.Helper()
	answer, err := r.cni.AddNetworkList(context.Background(), r.list, r.conf(id, netns))
	if err != nil {
		r.Fatalf("ADD %s: %v", id, err)
	}
	result, err := current.NewResultFromResult(answer)
	if err != nil {
		r.Fatal(err)
	}
	return result
}

// check runs CHECK, where the list's version has it.
func (r *network) check(id, netns string) {
	r.Helper()
	if err := r.cni.CheckNetworkList(context.Background(), r.list, r.conf(id, netns)); err != nil {
		r.Errorf("CHECK %s: %v", id, err)
	}
}

func (r *network) del(id, netns string) {
	r.Helper()
	if err := r.cni.DelNetworkList(context.Background(), r.list, r.conf(id, netns)); err != nil {
		r.Errorf("DEL %s: %v", id, err)
	}
}

// gc collects everything that is not valid.
func (r *network) gc(valid ...types.GCAttachment) {
	r.Helper()
	args := &libcni.GCArgs{ValidAttachments: valid}
	if err := r.cni.GCNetworkList(context.Background(), r.list, args); err != nil {
		r.Errorf("GC: %v", err)
	}
}

// clean fails the test for what DEL must not leave.
func (l *lab) clean() {
	l.Helper()
	if left := l.left(); left != "" {
		l.Errorf("left behind:\n%s", left)
	}
}

// left lists what belongs to a pod, in the reference's form or ours.
func (l *lab) left() string {
	l.Helper()
	return strings.TrimSpace(l.attached() + l.sh(`nft list ruleset 2>/dev/null |
		grep -e pod-one -e pod-two -e 'CNI-[0-9a-f]' -e CNI-DN- -e '10.88.0.[23]' || true`))
}

// attached lists host ends of veth pairs and leases.
func (l *lab) attached() string {
	l.Helper()
	return l.sh(`ip -br link show type veth | grep -v -e uplink || true
		find /var/lib/cni ` + l.data + ` -path '*/.ipam' -prune -o -type f -regex '.*/[0-9a-f]*[.:][0-9a-f.:]*' -print 2>/dev/null || true`)
}

// refused tells whether CHECK finds fault with the attachment.
func (n *network) refused(id, netns string) bool {
	return n.cni.CheckNetworkList(context.Background(), n.list, n.conf(id, netns)) != nil
}

// portMapping is the capability's argument: host port 8000 leads to 8080.
var portMapping = map[string]any{"portMappings": []object{{"hostPort": 8000, "containerPort": 8080, "protocol": "tcp"}}}

// thirdParty is a chain of ours, the reference's tuning and its firewall.
const thirdParty = `{"cniVersion":"1.1.0","name":"lab","plugins":[
	{"type":"bridge","bridge":"br-lab","isDefaultGateway":true,"ipMasq":true,"hairpinMode":true,
	 "ipam":{"type":"host-local","dataDir":"DATA/leases","ranges":[[{"subnet":"10.88.0.0/24"}],[{"subnet":"fd88::/64"}]]}},
	{"type":"portmap","capabilities":{"portMappings":true}},
	{"type":"tuning","sysctl":{"net.core.somaxconn":"500"},"mtu":1400},
	{"type":"firewall","backend":"iptables"}]}`

func TestChainWithOthers(t *testing.T) {
	t.Parallel()
	l := newLab(t, ours)
	r := l.network(thirdParty, portMapping)
	netns := l.pod()
	result := r.add("pod-one", netns)
	if len(result.IPs) != 2 || result.Interfaces[len(result.Interfaces)-1].Sandbox != netns {
		t.Errorf("the chain's result is %+v", result)
	}
	r.check("pod-one", netns)
	in := "nsenter --net=" + netns + " "
	if got := l.sh(in + "sysctl -n net.core.somaxconn; " + in + "cat /proc/sys/net/ipv6/conf/eth0/mtu"); got != "500\n1400\n" {
		t.Errorf("tuning made %q", got)
	}
	l.reachable(netns)
	r.gc(types.GCAttachment{ContainerID: "pod-one", IfName: "eth0"})
	r.check("pod-one", netns)
	r.del("pod-one", netns)
	r.del("pod-one", netns)
	l.clean()
}

// reachable: the pod reaches the outside as the node, and the outside the pod
// through the host port.
func (l *lab) reachable(netns string) {
	l.Helper()
	w := &run{lab: l, seen: observation{}}
	w.serve(l.outside, "7000")
	w.serve(netns, "8080")
	if seen := w.ask(netns, "tcp", outsideV4, "7000"); seen != nodeV4 {
		l.Errorf("the outside sees the pod as %s, expected the node's %s", seen, nodeV4)
	}
	if seen := w.ask(l.outside, "tcp", nodeV4, "8000"); seen != outsideV4 {
		l.Errorf("through the host port the pod sees the outside as %s, expected %s", seen, outsideV4)
	}
}

// TestDelegatedAsFlannelDoes: the meta plugin finds bridge and host-local under
// the reference's names, and knows nothing of ours.
func TestDelegatedAsFlannelDoes(t *testing.T) {
	t.Parallel()
	l := newLab(t, ours)
	r := l.network(`{"cniVersion":"0.4.0","name":"cbr0","plugins":[
		{"type":"flannel","subnet":"10.244.3.0/24","network":"10.244.0.0/16","dataDir":"DATA","delegate":{"hairpinMode":true,"isDefaultGateway":true}},
		{"type":"portmap","capabilities":{"portMappings":true}}]}`, portMapping)
	netns := l.pod()
	result := r.add("pod-one", netns)
	if got := result.IPs[0].Address.String(); got != "10.244.3.2/24" {
		t.Errorf("the pod has %s", got)
	}
	routes := l.sh("nsenter --net=" + netns + " ip route")
	for _, want := range []string{"10.244.0.0/16 via 10.244.3.1 dev eth0", "default via 10.244.3.1 dev eth0"} {
		if !strings.Contains(routes, want) {
			t.Errorf("the pod lacks the route %q:\n%s", want, routes)
		}
	}
	r.check("pod-one", netns)
	r.del("pod-one", netns)
	r.del("pod-one", netns)
	l.clean()
}

// stock are the networks that runtimes come with, as their documentation
// describes them. They name no dataDir.
var stock = map[string]string{
	"podman": `{"cniVersion":"0.4.0","name":"podman","plugins":[
		{"type":"bridge","bridge":"cni-podman0","isGateway":true,"ipMasq":true,"hairpinMode":true,
		 "ipam":{"type":"host-local","routes":[{"dst":"0.0.0.0/0"}],"ranges":[[{"subnet":"10.88.0.0/16","gateway":"10.88.0.1"}]]}},
		{"type":"portmap","capabilities":{"portMappings":true}},
		{"type":"firewall"},
		{"type":"tuning"}]}`,
	"CRI-O": `{"cniVersion":"1.0.0","name":"crio","plugins":[
		{"type":"bridge","bridge":"cni0","isGateway":true,"ipMasq":true,"hairpinMode":true,
		 "ipam":{"type":"host-local","routes":[{"dst":"0.0.0.0/0"},{"dst":"::/0"}],
		 "ranges":[[{"subnet":"10.85.0.0/16"}],[{"subnet":"1100:200::/24"}]]}}]}`,
	"containerd": `{"cniVersion":"1.0.0","name":"containerd-net","plugins":[
		{"type":"bridge","bridge":"cni0","isGateway":true,"ipMasq":true,"promiscMode":true,
		 "ipam":{"type":"host-local","ranges":[[{"subnet":"10.88.0.0/16"}],[{"subnet":"2001:db8:4860::/64"}]],
		 "routes":[{"dst":"0.0.0.0/0"},{"dst":"::/0"}]}},
		{"type":"portmap","capabilities":{"portMappings":true}}]}`,
	"nerdctl": `{"cniVersion":"1.0.0","name":"bridge","plugins":[
		{"type":"bridge","bridge":"nerdctl0","isGateway":true,"ipMasq":true,"hairpinMode":true,
		 "ipam":{"type":"host-local","routes":[{"dst":"0.0.0.0/0"}],"ranges":[[{"subnet":"10.4.0.0/24","gateway":"10.4.0.1"}]]}},
		{"type":"portmap","capabilities":{"portMappings":true}},
		{"type":"firewall","ingressPolicy":"same-bridge"},
		{"type":"tuning"}]}`,
}

// stockLoopback is the list that CRI-O and containerd run before.
const stockLoopback = `{"cniVersion":"1.0.0","name":"loopback","plugins":[{"type":"loopback"}]}`

// TestStockNetworks attaches two pods to each runtime's own network.
func TestStockNetworks(t *testing.T) {
	for name, conflist := range stock {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, ours)
			one, two := netnstest.New(l), l.pod()
			lo := l.network(stockLoopback, nil)
			lo.add("pod-one", one)
			lo.check("pod-one", one)
			r := l.network(conflist, portMapping)
			r.add("pod-one", one)
			r.capabilities = nil // the second pod has no host port
			r.add("pod-two", two)
			r.capabilities = portMapping
			r.check("pod-one", one)
			if strings.Contains(conflist, "portmap") {
				l.reachable(one)
			}
			r.del("pod-one", one)
			lo.del("pod-one", one)
			r.capabilities = nil
			r.del("pod-two", "") // its namespace is gone already
			l.clean()
		})
	}
}
