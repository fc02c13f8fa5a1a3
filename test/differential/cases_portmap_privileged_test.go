//go:build privileged

package differential

import (
	"fmt"
	"strings"
)

// portmapped is a chain of bridge and portmap with the given keys of portmap.
func portmapped(ipam, keys string) []string {
	return []string{bridge(`"isGateway":true,"ipMasq":true,` + ipam), `{"type":"portmap",` + keys + `}`}
}

const tcp80 = `"runtimeConfig":{"portMappings":[{"hostPort":8000,"containerPort":8080,"protocol":"tcp"}]}`

// thirty are more ports than one rule of iptables takes.
var thirty = func() string {
	var all []string
	for port := 8000; port < 8030; port++ {
		all = append(all, fmt.Sprintf(`{"hostPort":%d,"containerPort":8080,"protocol":"tcp"}`, port))
	}
	return strings.Join(all, ",")
}()

var port8000 = []hostPort{{"tcp", 8000}}

// portmapScenarios go through portmap's keys.
var portmapScenarios = []scenario{
	{name: "host port", plugins: portmapped(v4dflt, tcp80), ports: port8000, second: true},
	{name: "host port, version 0.1.0", version: "0.1.0", plugins: portmapped(v4dflt, tcp80), ports: port8000},
	{name: "host port, version 0.2.0", version: "0.2.0", plugins: portmapped(v4dflt, tcp80), ports: port8000},
	{name: "host port, version 0.3.0", version: "0.3.0", plugins: portmapped(v4dflt, tcp80), ports: port8000},
	{name: "host port, version 0.3.1", version: "0.3.1", plugins: portmapped(v4dflt, tcp80), ports: port8000},
	{name: "host port, version 0.4.0", version: "0.4.0", plugins: portmapped(v4dflt, tcp80), ports: port8000},
	{name: "host port, version 1.1.0", version: "1.1.0", plugins: portmapped(v4dflt, tcp80), ports: port8000},
	{name: "host port of two pods", plugins: portmapped(v4dflt, tcp80), rival: true, ports: port8000},
	{name: "host port, dual stack", plugins: portmapped(dual, tcp80), ports: port8000},
	{name: "host port, UDP", plugins: portmapped(v4dflt, `"runtimeConfig":{"portMappings":[{"hostPort":8001,"containerPort":8080,"protocol":"udp"}]}`), ports: []hostPort{{"udp", 8001}}},
	{name: "host ports, none", plugins: portmapped(v4dflt, `"runtimeConfig":{}`), ports: port8000},
	{name: "host port at an address", plugins: portmapped(v4dflt, `"runtimeConfig":{"portMappings":[{"hostPort":8000,"containerPort":8080,"protocol":"tcp","hostIP":"192.0.2.1"}]}`), ports: port8000},
	{name: "host port at another address", plugins: portmapped(v4dflt, `"runtimeConfig":{"portMappings":[{"hostPort":8000,"containerPort":8080,"protocol":"tcp","hostIP":"192.0.2.200"}]}`), ports: port8000},
	{name: "host port at 0.0.0.0", plugins: portmapped(v4dflt, `"runtimeConfig":{"portMappings":[{"hostPort":8000,"containerPort":8080,"protocol":"tcp","hostIP":"0.0.0.0"}]}`), ports: port8000},
	{name: "host port at 127.0.0.1", plugins: portmapped(v4dflt, `"runtimeConfig":{"portMappings":[{"hostPort":8000,"containerPort":8080,"protocol":"tcp","hostIP":"127.0.0.1"}]}`), ports: port8000},
	{name: "host port at an IPv6 address", plugins: portmapped(dual, `"runtimeConfig":{"portMappings":[{"hostPort":8000,"containerPort":8080,"protocol":"tcp","hostIP":"2001:db8::1"}]}`), ports: port8000},
	{name: "host port, hairpin", plugins: []string{bridge(`"isGateway":true,"hairpinMode":true,` + v4dflt), `{"type":"portmap",` + tcp80 + `}`}, ports: port8000, second: true},
	{name: "host ports, thirty", plugins: portmapped(v4dflt, `"runtimeConfig":{"portMappings":[`+thirty+`]}`), ports: []hostPort{{"tcp", 8000}, {"tcp", 8029}}},
	{name: "host port, conditions of both families", plugins: portmapped(dual, `"conditionsV4":["-s","192.0.2.0/24"],"conditionsV6":["-s","2001:db8:77::/64"],`+tcp80), ports: port8000},
	{name: "host port, addresses of several interfaces", plugins: one(`{"type":"portmap","prevResult":{"cniVersion":"1.0.0","interfaces":[{"name":"eth0"},{"name":"net1","sandbox":"/x"}],
		"ips":[{"interface":0,"address":"10.88.0.9/24"},{"interface":1,"address":"10.88.0.10/24"},{"interface":7,"address":"10.88.0.11/24"},{"interface":-1,"address":"10.88.0.12/24"}]},` + tcp80 + `}`)},
	{name: "host port, no snat", plugins: portmapped(v4dflt, `"snat":false,`+tcp80), ports: port8000},
	{name: "host port, masqAll", plugins: portmapped(v4dflt, `"masqAll":true,`+tcp80), ports: port8000},
	{name: "host port, masqAll without snat", plugins: portmapped(v4dflt, `"snat":false,"masqAll":true,`+tcp80), ports: port8000},
	{name: "host port, masqAll, nftables", plugins: portmapped(v4dflt, `"backend":"nftables","masqAll":true,`+tcp80), ports: port8000},
	{name: "host port, nftables", plugins: portmapped(v4dflt, `"backend":"nftables",`+tcp80), ports: port8000},
	{name: "host port, iptables", plugins: portmapped(v4dflt, `"backend":"iptables",`+tcp80), ports: port8000},
	{name: "host port, unknown backend", plugins: portmapped(v4dflt, `"backend":"ebpf",`+tcp80), says: `unrecognized backend "ebpf"`},
	{name: "host port, conditions", plugins: portmapped(v4dflt, `"conditionsV4":["-s","198.51.100.0/24"],`+tcp80), ports: port8000},
	{name: "host port, conditions that hold", plugins: portmapped(v4dflt, `"conditionsV4":["-s","192.0.2.0/24"],`+tcp80), ports: port8000},
	{name: "host port, conditions of nftables", plugins: portmapped(v4dflt, `"backend":"nftables","conditionsV4":["ip","saddr","198.51.100.0/24"],`+tcp80), ports: port8000},
	{name: "host port, conditions for the other backend", plugins: portmapped(v4dflt, `"backend":"nftables","conditionsV4":["-s","198.51.100.0/24"],`+tcp80), says: "backend was requested but configuration contains"},
	{name: "host port, two mark options", plugins: portmapped(v4dflt, `"externalSetMarkChain":"KUBE-MARK-MASQ","markMasqBit":5,`+tcp80), says: "Cannot specify externalSetMarkChain and markMasqBit"},
	{name: "host port, mark bit", plugins: portmapped(v4dflt, `"markMasqBit":5,`+tcp80), ports: port8000},
	{name: "host port, mark bit out of range", plugins: portmapped(v4dflt, `"markMasqBit":32,`+tcp80), says: "MasqMarkBit must be between 0 and 31"},
	{name: "host port, external mark chain", plugins: portmapped(v4dflt, `"externalSetMarkChain":"PLZ-SET-MARK",`+tcp80), prepare: "iptables -t nat -N PLZ-SET-MARK", ports: port8000},
	{name: "host port out of range", plugins: portmapped(v4dflt, `"runtimeConfig":{"portMappings":[{"hostPort":0,"containerPort":8080,"protocol":"tcp"}]}`), says: "Invalid host port number: 0"},
	{name: "container port out of range", plugins: portmapped(v4dflt, `"runtimeConfig":{"portMappings":[{"hostPort":8000,"containerPort":-1,"protocol":"tcp"}]}`), says: "Invalid container port number: -1"},
	{name: "host port twice", plugins: portmapped(v4dflt, `"runtimeConfig":{"portMappings":[{"hostPort":8000,"containerPort":8080,"protocol":"tcp"},{"hostPort":8000,"containerPort":8080,"protocol":"tcp"}]}`), ports: port8000},
	{name: "host port at all addresses of both families, dual stack", plugins: portmapped(dual, `"runtimeConfig":{"portMappings":[{"hostPort":8000,"containerPort":8080,"protocol":"tcp","hostIP":"0.0.0.0"},{"hostPort":8000,"containerPort":8080,"protocol":"tcp","hostIP":"::"}]}`), ports: port8000},
	{name: "host port, any and one address", plugins: portmapped(v4dflt, `"runtimeConfig":{"portMappings":[{"hostPort":8000,"containerPort":8080,"protocol":"tcp"},{"hostPort":8000,"containerPort":8080,"protocol":"tcp","hostIP":"192.0.2.1"}]}`), ports: port8000},
	{name: "host port, other family", plugins: portmapped(v4dflt, `"runtimeConfig":{"portMappings":[{"hostPort":8000,"containerPort":8080,"protocol":"tcp","hostIP":"::"}]}`), ports: port8000},
	{name: "host port, no conditions", plugins: portmapped(v4dflt, `"conditionsV4":[],"conditionsV6":null,"snat":null,"backend":null,`+tcp80), ports: port8000},
	{name: "host port, upper case", plugins: portmapped(v4dflt, `"runtimeConfig":{"portMappings":[{"hostPort":8000,"containerPort":8080,"protocol":"TCP"}]}`), ports: port8000},
	{name: "host port, condition of interface", plugins: portmapped(v4dflt, `"conditionsV4":["-i","uplink"],`+tcp80), ports: port8000},
	{name: "portmap unchained", plugins: one(`{"type":"portmap",` + tcp80 + `}`), says: "must be called as chained plugin"},
}
