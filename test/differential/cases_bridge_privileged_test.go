//go:build privileged

package differential

// Parts of configurations that many scenarios share.
const (
	v4     = `"ipam":{"type":"host-local","dataDir":"DATA/leases","ranges":[[{"subnet":"10.88.0.0/24"}]]}`
	v4dflt = `"ipam":{"type":"host-local","dataDir":"DATA/leases","ranges":[[{"subnet":"10.88.0.0/24"}]],"routes":[{"dst":"0.0.0.0/0"}]}`
	v6     = `"ipam":{"type":"host-local","dataDir":"DATA/leases","ranges":[[{"subnet":"fd88::/64"}]]}`
	dual   = `"ipam":{"type":"host-local","dataDir":"DATA/leases","ranges":[[{"subnet":"10.88.0.0/24"}],[{"subnet":"fd88::/64"}]],"routes":[{"dst":"0.0.0.0/0"},{"dst":"::/0"}]}`
)

// bridge is the bridge plugin's configuration with the given keys.
func bridge(keys string) string {
	if keys != "" {
		keys = "," + keys
	}
	return `{"type":"bridge"` + keys + `}`
}

func one(plugin string) []string { return []string{plugin} }

// bridgeScenarios go through the bridge plugin's keys.
var bridgeScenarios = []scenario{
	{name: "plain", plugins: one(bridge(v4))},
	{name: "bridge name", plugins: one(bridge(`"bridge":"br-lab",` + v4))},
	{name: "gateway", plugins: one(bridge(`"isGateway":true,` + v4dflt)), second: true},
	{name: "default gateway", plugins: one(bridge(`"isDefaultGateway":true,` + v4))},
	{name: "default gateway and routes", plugins: one(bridge(`"isDefaultGateway":true,` + v4dflt)), says: "file exists"},
	{name: "IPv6", plugins: one(bridge(`"isDefaultGateway":true,` + v6))},
	{name: "dual stack", plugins: one(bridge(`"isGateway":true,"ipMasq":true,` + dual)), second: true},
	{name: "masquerade", plugins: one(bridge(`"isGateway":true,"ipMasq":true,` + v4dflt)), second: true},
	{name: "masquerade, iptables", plugins: one(bridge(`"isGateway":true,"ipMasq":true,"ipMasqBackend":"iptables",` + v4dflt))},
	{name: "masquerade, nftables", plugins: one(bridge(`"isGateway":true,"ipMasq":true,"ipMasqBackend":"nftables",` + v4dflt))},
	{name: "masquerade, unknown backend", plugins: one(bridge(`"ipMasq":true,"ipMasqBackend":"ebpf",` + v4)), says: `unknown ipmasq backend "ebpf"`},
	{name: "MTU", plugins: one(bridge(`"mtu":1400,` + v4))},
	{name: "MTU too small for IPv6", plugins: one(bridge(`"mtu":1000,"isGateway":true,` + v4dflt))},
	{name: "hairpin", plugins: one(bridge(`"hairpinMode":true,` + v4))},
	{name: "promiscuous", plugins: one(bridge(`"promiscMode":true,` + v4))},
	{name: "hairpin and promiscuous", plugins: one(bridge(`"hairpinMode":true,"promiscMode":true,` + v4)), says: "cannot set hairpin mode and promiscuous mode at the same time"},
	{name: "port isolation", plugins: one(bridge(`"isGateway":true,"portIsolation":true,` + v4dflt)), second: true},
	{name: "spoof check", plugins: one(bridge(`"isGateway":true,"macspoofchk":true,` + v4dflt)), spoof: true},
	{name: "no spoof check", plugins: one(bridge(`"isGateway":true,` + v4dflt)), spoof: true},
	{name: "duplicate address detection", plugins: one(bridge(`"isGateway":true,"enabledad":true,` + dual))},
	{name: "layer 2", plugins: one(bridge(`"bridge":"br-lab"`))},
	{name: "layer 2, ipam empty", plugins: one(bridge(`"ipam":{}`))},
	{name: "container interface down", plugins: one(bridge(`"disableContainerInterface":true`))},
	{name: "container interface down with ipam", plugins: one(bridge(`"disableContainerInterface":true,` + v4)), says: "cannot use IPAM when DisableContainerInterface flag is set"},
	{name: "dns", plugins: one(bridge(`"dns":{"nameservers":["192.0.2.53"],"domain":"lab.example","search":["lab.example"],"options":["ndots:2"]},` + v4))},
	{name: "MAC by capability", plugins: one(bridge(`"runtimeConfig":{"mac":"02:00:00:00:00:11"},` + v4))},
	{name: "MAC by args", plugins: one(bridge(`"args":{"cni":{"mac":"02:00:00:00:00:12"}},` + v4))},
	{name: "MAC by CNI_ARGS", plugins: one(bridge(v4)), args: "IgnoreUnknown=1;MAC=02:00:00:00:00:13"},
	{name: "MAC three ways", plugins: one(bridge(`"runtimeConfig":{"mac":"02:00:00:00:00:11"},"args":{"cni":{"mac":"02:00:00:00:00:12"}},` + v4)), args: "IgnoreUnknown=1;MAC=02:00:00:00:00:13"},
	{name: "MAC malformed", plugins: one(bridge(`"runtimeConfig":{"mac":"02:zz"},` + v4)), says: "failed to make veth pair"},
	{name: "existing bridge", plugins: one(bridge(`"isGateway":true,` + v4dflt)), prepare: "ip link add cni0 address 02:00:00:00:00:21 type bridge; ip link set cni0 up"},
	{name: "existing bridge, other address", plugins: one(bridge(`"isGateway":true,` + v4dflt)), prepare: "ip link add cni0 type bridge; ip addr add 10.99.0.1/24 dev cni0; ip link set cni0 up", says: "already has an IP address different from"},
	{name: "existing bridge, other address forced", plugins: one(bridge(`"isGateway":true,"forceAddress":true,` + v4dflt)), prepare: "ip link add cni0 type bridge; ip addr add 10.99.0.1/24 dev cni0; ip link set cni0 up"},
	{name: "existing bridge, overlapping IPv6 address", plugins: one(bridge(`"isGateway":true,` + v6)), prepare: "ip link add cni0 type bridge; ip link set cni0 up; ip addr add fd88::ffff/64 dev cni0 nodad", says: "already has an IP address different from"},
	{name: "existing bridge, other IPv6 address", plugins: one(bridge(`"isGateway":true,` + v6)), prepare: "ip link add cni0 type bridge; ip link set cni0 up; ip addr add fd99::1/64 dev cni0 nodad"},
	{name: "bridge that is none", plugins: one(bridge(v4)), prepare: "ip link add cni0 type veth peer name other", says: "already exists but is not a bridge"},
	{name: "interface exists", plugins: one(bridge(v4)), prepare: "nsenter --net=POD ip link add eth0 type veth peer name other", says: "already exists"},
	{name: "no such delegate", plugins: one(bridge(`"ipam":{"type":"absent"}`)), says: "failed to find plugin \"absent\" in path"},
	{name: "VLAN out of range", plugins: one(bridge(`"vlan":4095,` + v4)), says: "invalid VLAN ID 4095 (must be between 0 and 4094)"},
	{name: "VLAN trunk reversed", plugins: one(bridge(`"vlanTrunk":[{"minID":20,"maxID":10}],` + v4)), says: "minID is greater than maxID in trunk parameter"},
	{name: "VLAN trunk half a range", plugins: one(bridge(`"vlanTrunk":[{"minID":20}],` + v4)), says: "minID and maxID should be configured simultaneously, maxID is missing"},
	{name: "VLAN trunk out of range", plugins: one(bridge(`"vlanTrunk":[{"id":5000}],` + v4)), says: "incorrect trunk id parameter"},
	{name: "VLAN", plugins: one(bridge(`"vlan":100,` + v4)), vlans: true},
	{name: "VLAN with gateway", plugins: one(bridge(`"vlan":100,"isGateway":true,` + v4dflt)), vlans: true},
	{name: "VLAN, default kept", plugins: one(bridge(`"vlan":100,"preserveDefaultVlan":true,` + v4)), vlans: true},
	{name: "VLAN trunk", plugins: one(bridge(`"vlanTrunk":[{"id":101},{"minID":200,"maxID":202}],` + v4)), vlans: true},
	{name: "another port joins", plugins: one(bridge(v4)), later: "ip link add other address 02:00:00:00:00:02 type veth peer name its-peer; ip link set other master cni0 up"},
	{name: "unknown key", plugins: one(bridge(`"colour":"red",` + v4))},
	{name: "unknown CNI_ARGS", plugins: one(bridge(v4)), args: "COLOUR=red", says: "unknown args"},
	{name: "unknown CNI_ARGS ignored", plugins: one(bridge(v4)), args: "IgnoreUnknown=true;COLOUR=red;K8S_POD_NAME=a"},
	{name: "DEL without namespace and prevResult", plugins: one(bridge(`"isGateway":true,"ipMasq":true,"macspoofchk":true,` + v4dflt)), blind: true},
	{name: "wrong type of key", plugins: one(bridge(`"mtu":"big",` + v4)), says: "failed to load netconf"},
}
