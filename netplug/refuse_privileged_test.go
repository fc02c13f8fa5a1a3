//go:build privileged

package netplug

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/mascri/mascri/spec"
)

// everything is all that an ADD could change on the node, and in the pod, but
// for what follows a link's carrier with delay.
func (l *lab) everything(pod string) string {
	l.Helper()
	return l.sh(`{ ip -o link; ip -o addr; ip route show table all; nft list ruleset
		sysctl net.ipv4.ip_forward net.ipv6.conf.all.forwarding net.ipv4.conf.all.route_localnet
		find ` + l.data + ` -path '*/.ipam/lab/*' -prune -o -print; nsenter --net=` + pod + ` sh -c 'ip -o link; ip -o addr; ip route'
		} | sed 's/,LOWER_UP//; s/ state [A-Z]*//; s/ linkdown//; s/ tentative//'`)
}

// withoutNode leaves out of everything the node's part, which another pod's ADD
// may be using already: bridge, forwarding, and the directory without a lease.
func (l *lab) withoutNode(everything string) string {
	var rest []string
	for _, line := range strings.Split(everything, "\n") {
		if !slices.ContainsFunc([]string{"br-lab", ".ip_forward = ", ".forwarding = "}, func(part string) bool { return strings.Contains(line, part) }) &&
			!slices.Contains([]string{"", "/.ipam", "/.ipam/lab", "/lab", "/lab/lock", "/lab/last_reserved_ip.0"}, strings.TrimPrefix(line, l.data+"/leases")) {
			rest = append(rest, line)
		}
	}
	return strings.Join(rest, "\n")
}

// TestFailedAddLeavesNothing: what is wrong with a request is said with the code
// for it, by its name, and the host is as it was, its files included.
func TestFailedAddLeavesNothing(t *testing.T) {
	const range24 = `"ipam":{"type":"ipam","dataDir":"DATA/leases","ranges":[[{"subnet":"10.88.0.0/24"}]]}`
	// A port keeps its carrier; without IPv6 it gets no address of its own accord.
	const oldBridge = `sysctl -qw net.ipv6.conf.default.disable_ipv6=1; ip link add br-lab type bridge; ip link set br-lab up
		ip link add port type veth peer name plug; ip link set port master br-lab up; ip link set plug up
		until ip link show br-lab | grep -q 'state UP'; do sleep 0.01; done`
	ranges := func(text string) string {
		return `"ipam":{"type":"ipam","dataDir":"DATA/leases","ranges":` + text + `}`
	}
	cases := []struct {
		name, prepare, keys, args string
		raw                       string // the whole configuration, instead of keys
		id, ifname, netns         string // "a", "eth0" and the pod's where they are empty
		node                      bool   // the node's part is made: it is everybody's, and stays
		unless                    string // a command that succeeds where the case cannot be had
		code                      spec.Code
		culprit                   string
	}{
		{name: "broken JSON", raw: `{"cniVersion":"1.1.0",`, code: spec.Decode, culprit: "network config on stdin"},
		{name: "a list where an object should be", raw: `[]`, code: spec.Decode, culprit: "network config on stdin"},
		{name: "a key of the wrong type", keys: `"mtu":"large",` + range24, code: spec.Decode, culprit: "mtu"},
		{name: "no name", raw: `{"cniVersion":"1.1.0","type":"netplug"}`, code: spec.InvalidConfig, culprit: "key name"},
		{name: "network name is a path", raw: `{"cniVersion":"1.1.0","name":"../lab","type":"netplug"}`, code: spec.InvalidConfig, culprit: "../lab"},
		{name: "unknown version", raw: `{"cniVersion":"9.9.9","name":"lab","type":"netplug"}`, code: spec.IncompatibleVersion, culprit: "9.9.9"},
		{name: "container ID is a path", keys: range24, id: "../a", code: spec.InvalidEnv, culprit: "CNI_CONTAINERID"},
		{name: "interface name is a path", keys: range24, ifname: "../eth0", code: spec.InvalidEnv, culprit: "../eth0"},
		{name: "interface name of 16 bytes", keys: range24, ifname: "abcdefghijklmnop", code: spec.InvalidEnv, culprit: "16 bytes"},
		{name: "interface exists", keys: range24, ifname: "lo", code: spec.InvalidEnv, culprit: "lo"},
		{name: "unknown argument", keys: range24, args: "FOO=bar", code: spec.InvalidEnv, culprit: "FOO=bar"},
		{name: "netns missing", keys: range24, netns: "/nowhere/ns", code: spec.InvalidNetns, culprit: "/nowhere/ns"},
		{name: "netns is a file", keys: range24, netns: "/etc/passwd", code: spec.InvalidNetns, culprit: "/etc/passwd"},
		{name: "the host's own netns", keys: range24, netns: "HOST", code: spec.InvalidNetns, culprit: "should not be the same"},

		{name: "IPAM without ranges", keys: `"ipam":{"type":"ipam","dataDir":"DATA/leases"}`, code: spec.InvalidConfig, culprit: "no IP ranges specified"},
		{name: "IPAM plugin missing", keys: `"ipam":{"type":"nowhere"}`, code: spec.InvalidConfig, culprit: `"nowhere"`},
		{name: "IPAM plugin is a path", keys: `"ipam":{"type":"../ipam"}`, code: spec.InvalidConfig, culprit: "../ipam"},
		{name: "overlapping ranges", keys: ranges(`[[{"subnet":"10.88.0.0/24"}],[{"subnet":"10.88.0.128/25"}]]`), code: spec.InvalidConfig, culprit: "overlaps"},
		{name: "host bits set", keys: ranges(`[[{"subnet":"10.88.0.7/24"}]]`), code: spec.InvalidConfig, culprit: "write 10.88.0.0/24 for 10.88.0.7/24"},
		{name: "range exhausted", keys: ranges(`[[{"subnet":"10.88.0.0/24","rangeStart":"10.88.0.1","rangeEnd":"10.88.0.1"}]]`), code: spec.Exhausted, culprit: "10.88.0.1-10.88.0.1"},
		{name: "range exhausted, bridge there", prepare: oldBridge, keys: ranges(`[[{"subnet":"10.88.0.0/24","rangeStart":"10.88.0.1","rangeEnd":"10.88.0.1"}]]`), code: spec.Exhausted, culprit: "10.88.0.1-10.88.0.1"},
		{name: "range exhausted by others", prepare: `mkdir -p DATA/leases/lab DATA/leases/.ipam/lab; printf 'x\r\neth0' >DATA/leases/lab/10.88.0.2; : >DATA/leases/lab/lock`, keys: ranges(`[[{"subnet":"10.88.0.0/30"}]]`), code: spec.Exhausted, culprit: "no IP addresses available"},
		{name: "address not in the range", keys: `"runtimeConfig":{"ips":["10.99.0.9"]},` + range24, code: spec.InvalidConfig, culprit: "10.99.0.9"},
		{name: "relative directory", keys: `"ipam":{"type":"ipam","dataDir":"leases","subnet":"10.88.0.0/24"}`, code: spec.InvalidConfig, culprit: `"leases" is relative`},

		{name: "name of the bridge taken", prepare: "ip link add br-lab type veth peer name other", keys: range24, code: spec.Kernel, culprit: "already exists but is not a bridge"},
		{name: "MTU too small for IPv6", keys: `"mtu":1279,"ipam":{"type":"ipam","dataDir":"DATA/leases","subnet":"fd88::/64"}`, code: spec.InvalidConfig, culprit: "1279 is below 1280", node: true},
		{name: "MAC of a group", keys: `"args":{"cni":{"mac":"01:00:5e:00:00:01"}},` + range24, code: spec.InvalidConfig, culprit: "01:00:5e:00:00:01"},
		{name: "host port out of range", keys: `"runtimeConfig":{"portMappings":[{"hostPort":70000,"containerPort":80,"protocol":"tcp"}]},` + range24, code: spec.InvalidConfig, culprit: "70000"},
		{name: "VLAN out of range", keys: `"vlan":4095,` + range24, code: spec.InvalidConfig, culprit: "invalid VLAN ID 4095"},
		{name: "hairpin and promiscuous", keys: `"hairpinMode":true,"promiscMode":true,` + range24, code: spec.InvalidConfig, culprit: "hairpin"},
		{name: "VLANs on a kernel without", keys: `"vlan":5,"vlanTrunk":[{"id":9},{"minID":11,"maxID":12}],` + range24, code: spec.UnsupportedField, culprit: "vlan 5, vlanTrunk 9,11-12: ",
			unless: "ip link add probe type bridge vlan_filtering 1"},

		{name: "another address on the bridge", prepare: "ip link add br-lab type bridge; ip addr add 10.99.0.1/24 dev br-lab", keys: `"isGateway":true,` + range24, code: spec.Kernel, culprit: "already has an IP address different from", node: true},
		{name: "unreachable route", keys: `"macspoofchk":true,"runtimeConfig":{"portMappings":[{"hostPort":8080,"containerPort":80,"protocol":"tcp"}]},"ipam":{"type":"ipam","dataDir":"DATA/leases","subnet":"10.88.0.0/24","routes":[{"dst":"1.2.3.0/24","gw":"203.0.113.1"}]}`, code: spec.Kernel, culprit: "1.2.3.0/24", node: true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t)
			if c.unless != "" && exec.Command("sh", "-c", c.unless).Run() == nil {
				t.Skipf("not to be had here: %s works", c.unless)
			}
			l.sh(strings.ReplaceAll(c.prepare, "DATA", l.data))
			request := call{command: "ADD", id: "a", netns: l.pod(), ifname: c.ifname, args: c.args, config: c.raw}
			before := l.everything(request.netns)
			if c.raw == "" {
				request.config = l.config(c.keys)
			}
			if c.id != "" {
				request.id = c.id
			}
			pod := request.netns
			if c.netns != "" {
				request.netns = strings.Replace(c.netns, "HOST", l.node(), 1)
			}
			l.refused(request, c.code, c.culprit)
			after := l.everything(pod)
			if c.node {
				before, after = l.withoutNode(before), l.withoutNode(after)
			}
			if after != before {
				t.Errorf("the host was\n%s\nand is\n%s", before, after)
			}
		})
	}
}
