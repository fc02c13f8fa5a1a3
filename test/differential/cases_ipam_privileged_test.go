//go:build privileged

package differential

// leases is a bridge network with the given keys of ipam.
func leases(keys string) string {
	return bridge(`"ipam":{"type":"host-local","dataDir":"DATA/leases",` + keys + `}`)
}

// gatewayLeases is leases on a bridge that keeps its MAC while pods come and go,
// for scenarios with two.
func gatewayLeases(keys string) string {
	return bridge(`"isGateway":true,"ipam":{"type":"host-local","dataDir":"DATA/leases",` + keys + `}`)
}

// ipamScenarios go through host-local's keys, and the three ways to ask for an
// address.
var ipamScenarios = []scenario{
	{name: "range, old style", plugins: one(gatewayLeases(`"subnet":"10.88.0.0/24","rangeStart":"10.88.0.50","rangeEnd":"10.88.0.60","gateway":"10.88.0.254"`)), second: true},
	{name: "range, both styles", plugins: one(leases(`"subnet":"10.88.0.0/24","ranges":[[{"subnet":"10.89.0.0/24"}]]`))},
	{name: "two ranges in a set", plugins: one(gatewayLeases(`"ranges":[[{"subnet":"10.88.0.0/24","rangeStart":"10.88.0.9","rangeEnd":"10.88.0.9"},{"subnet":"10.89.0.0/24"}]]`)), second: true},
	{name: "gateway outside the subnet", plugins: one(leases(`"ranges":[[{"subnet":"10.88.0.0/24","gateway":"10.1.1.1"}]]`))},
	{name: "routes", plugins: one(leases(`"subnet":"10.88.0.0/24","routes":[{"dst":"0.0.0.0/0"},{"dst":"198.51.100.0/24","gw":"10.88.0.77"},{"dst":"203.0.113.0/24","priority":50,"table":100,"scope":0}]`))},
	{name: "route with MTU", plugins: one(leases(`"subnet":"10.88.0.0/24","routes":[{"dst":"198.51.100.0/24","mtu":1300,"advmss":1200}]`)), version: "1.1.0"},
	{name: "two routes to one destination", plugins: one(leases(`"subnet":"10.88.0.0/24","routes":[{"dst":"198.51.100.0/24","gw":"10.88.0.7"},{"dst":"198.51.100.0/24","gw":"10.88.0.8"}]`))},
	{name: "resolvConf", plugins: one(leases(`"subnet":"10.88.0.0/24","resolvConf":"DATA/resolv.conf"`)), prepare: `printf '# comment\nnameserver 192.0.2.53\n;another\nsearch a.example b.example\ndomain lab.example\noptions ndots:5 edns0\n' > DATA/resolv.conf`},
	{name: "resolvConf missing", plugins: one(leases(`"subnet":"10.88.0.0/24","resolvConf":"DATA/none"`)), says: "no such file or directory"},
	{name: "ranges by capability", plugins: one(bridge(`"runtimeConfig":{"ipRanges":[[{"subnet":"10.90.0.0/24"}],[{"subnet":"fd90::/64"}]]},"ipam":{"type":"host-local","dataDir":"DATA/leases"}`))},
	{name: "ranges by capability and config", plugins: one(bridge(`"runtimeConfig":{"ipRanges":[[{"subnet":"10.90.0.0/24"}]]},` + v4))},
	{name: "address by capability", plugins: one(bridge(`"runtimeConfig":{"ips":["10.88.0.44/24"]},` + v4))},
	{name: "address by args", plugins: one(bridge(`"args":{"cni":{"ips":["10.88.0.45"]}},` + v4))},
	{name: "address by CNI_ARGS", plugins: one(bridge(v4)), args: "IgnoreUnknown=1;IP=10.88.0.46"},
	{name: "addresses in two sets", plugins: one(bridge(`"runtimeConfig":{"ips":["fd88::44","10.88.0.44"]},` + dual))},
	{name: "address requested twice", plugins: one(bridge(`"isGateway":true,"runtimeConfig":{"ips":["10.88.0.44"]},` + v4)), rival: true},
	{name: "address outside", plugins: one(bridge(`"runtimeConfig":{"ips":["10.99.0.44"]},` + v4)), says: "failed to allocate all requested IPs: 10.99.0.44"},
	{name: "address is the gateway's", plugins: one(bridge(`"runtimeConfig":{"ips":["10.88.0.1"]},` + v4)), says: "requested ip 10.88.0.1 is subnet's gateway"},
	{name: "address malformed", plugins: one(bridge(`"runtimeConfig":{"ips":["10.88"]},` + v4)), says: "10.88"},
	{name: "address by CNI_ARGS malformed", plugins: one(bridge(v4)), args: "IgnoreUnknown=1;IP=10.88", says: "10.88"},
	{name: "pool exhausted", plugins: one(leases(`"subnet":"10.88.0.0/24","rangeStart":"10.88.0.7","rangeEnd":"10.88.0.7"`)), prepare: `umask 077; mkdir -m 755 -p DATA/leases/lab; printf 'other\r\neth0' > DATA/leases/lab/10.88.0.7`, says: "no IP addresses available in range set: 10.88.0.7-10.88.0.7"},
	{name: "round robin", plugins: one(bridge(v4)), prepare: `umask 077; mkdir -m 755 -p DATA/leases/lab; printf 10.88.0.200 > DATA/leases/lab/last_reserved_ip.0; printf 'other\r\neth0' > DATA/leases/lab/10.88.0.201`},
	{name: "round robin wraps", plugins: one(bridge(v4)), prepare: `umask 077; mkdir -m 755 -p DATA/leases/lab; printf 10.88.0.254 > DATA/leases/lab/last_reserved_ip.0`},
	{name: "container has an address already", plugins: one(bridge(v4)), prepare: `umask 077; mkdir -m 755 -p DATA/leases/lab; printf 'pod-one\r\neth0' > DATA/leases/lab/10.88.0.7`, says: "duplicate allocation is not allowed"},
	{name: "no ranges", plugins: one(bridge(`"ipam":{"type":"host-local"}`)), says: "no IP ranges specified"},
	{name: "subnet with host bits", plugins: one(leases(`"subnet":"10.88.0.7/24"`)), says: "Network has host bits set"},
	{name: "subnet too small", plugins: one(leases(`"subnet":"10.88.0.0/31"`)), says: "too small to allocate from"},
	{name: "range outside the subnet", plugins: one(leases(`"subnet":"10.88.0.0/24","rangeStart":"10.77.0.1"`)), says: "RangeStart 10.77.0.1 not in network 10.88.0.0/24"},
	{name: "range ends outside the subnet", plugins: one(leases(`"subnet":"10.88.0.0/24","rangeEnd":"10.88.1.9"`)), says: "RangeEnd 10.88.1.9 not in network 10.88.0.0/24"},
	{name: "range reversed", plugins: one(leases(`"subnet":"10.88.0.0/24","rangeStart":"10.88.0.9","rangeEnd":"10.88.0.5"`)), says: "RangeStart 10.88.0.9 not in network 10.88.0.0/24"},
	{name: "mixed families", plugins: one(leases(`"ranges":[[{"subnet":"10.88.0.0/24"},{"subnet":"fd88::/64"}]]`)), says: "mixed address families"},
	{name: "overlap in a set", plugins: one(leases(`"ranges":[[{"subnet":"10.88.0.0/24"},{"subnet":"10.88.0.0/25"}]]`)), says: "overlap"},
	{name: "overlap of sets", plugins: one(leases(`"ranges":[[{"subnet":"10.88.0.0/24"}],[{"subnet":"10.88.0.0/25"}]]`)), says: "range set 0 overlaps with 1"},
	{name: "empty set", plugins: one(leases(`"ranges":[[]]`)), says: "empty range set"},
}

// versionScenarios speak every version of the protocol.
var versionScenarios = []scenario{
	{name: "version 0.1.0", version: "0.1.0", plugins: one(bridge(`"isGateway":true,` + dual))},
	{name: "version 0.2.0", version: "0.2.0", plugins: one(bridge(`"isGateway":true,` + dual))},
	{name: "version 0.3.0", version: "0.3.0", plugins: one(bridge(`"isGateway":true,` + dual))},
	{name: "version 0.3.1", version: "0.3.1", plugins: one(bridge(`"isGateway":true,` + dual))},
	{name: "version 0.4.0", version: "0.4.0", plugins: one(bridge(`"isGateway":true,` + dual))},
	{name: "version 1.0.0", version: "1.0.0", plugins: one(bridge(`"isGateway":true,` + dual))},
	{name: "version 1.1.0", version: "1.1.0", plugins: one(bridge(`"isGateway":true,` + dual))},
	{name: "version from the future", version: "9.0.0", plugins: one(bridge(v4)), says: "incompatible CNI versions"},
	{name: "version 0.2.0, layer 2", version: "0.2.0", plugins: one(bridge("")), says: "cannot convert: no valid IP addresses"},
	{name: "version 0.2.0, two addresses of a family", version: "0.2.0", plugins: one(leases(`"ranges":[[{"subnet":"10.88.0.0/24"}],[{"subnet":"10.89.0.0/24"}]]`)), says: "does not support more than 1 address per family"},
}

// loopbackScenarios are the loopback plugin's.
var loopbackScenarios = []scenario{
	{name: "loopback", lo: true, plugins: one(`{"type":"loopback"}`)},
	{name: "loopback, version 0.1.0", lo: true, version: "0.1.0", plugins: one(`{"type":"loopback"}`)},
	{name: "loopback, version 0.3.0", lo: true, version: "0.3.0", plugins: one(`{"type":"loopback"}`)},
	{name: "loopback, version 0.3.1", lo: true, version: "0.3.1", plugins: one(`{"type":"loopback"}`)},
	{name: "loopback, version 0.4.0", lo: true, version: "0.4.0", plugins: one(`{"type":"loopback"}`)},
	{name: "loopback, version 0.2.0", lo: true, version: "0.2.0", plugins: one(`{"type":"loopback"}`)},
	{name: "loopback, version 1.1.0", lo: true, version: "1.1.0", plugins: one(`{"type":"loopback"}`)},
	{name: "loopback chained, version 0.2.0", lo: true, version: "0.2.0", plugins: []string{bridge(v4dflt), `{"type":"loopback"}`}},
	{name: "loopback, no IPv6", lo: true, prepare: "nsenter --net=POD sysctl -qw net.ipv6.conf.lo.disable_ipv6=1", plugins: one(`{"type":"loopback"}`)},
	{name: "loopback, its own address changed", lo: true, prepare: "nsenter --net=POD ip addr add 127.0.0.53/8 dev lo; nsenter --net=POD ip addr del 127.0.0.1/8 dev lo", plugins: one(`{"type":"loopback"}`)},
	{name: "loopback chained", lo: true, plugins: []string{bridge(v4), `{"type":"loopback"}`}},
	{name: "loopback with a foreign address", lo: true, prepare: "nsenter --net=POD ip addr add 198.51.100.7/32 dev lo", plugins: one(`{"type":"loopback"}`), says: "loopback interface found with non-loopback address"},
}
