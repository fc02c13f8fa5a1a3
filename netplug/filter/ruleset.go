package filter

import "strings"

// Ruleset is the constant part of a family's table: the sets and maps, empty,
// and the chains that look packets up in them. It is the node step before every
// other step of its family. All that comes and goes with networks and pods is
// elements, so the ruleset a packet passes has the same length for one pod and
// for ten thousand.
type Ruleset struct {
	Family Family
}

// The sets and maps of the ip and ip6 tables.
const (
	setSources       = "sources"        // networks whose pods hide behind the host
	setInside        = "inside"         // source . destination that never leave their network
	setHairpin       = "hairpin"        // source . destination to masquerade behind a host port
	setMasqueradeAll = "masquerade_all" // networks whose host ports hide every client
	setGuarded       = "guarded"        // interfaces that may not reach the host's loopback addresses
	mapHostIPs       = "hostips"        // protocol . host address . host port → pod
	mapHostPorts     = "hostports"      // protocol . host port → pod
)

// The sets of the bridge table.
const (
	setChecked = "checked" // interfaces whose frames are checked
	setAllowed = "allowed" // interface . source address that pass
)

// The chains. Base chains are named after their hook.
const (
	chainGuard       = "guard"
	chainPrerouting  = "prerouting"
	chainOutput      = "output"
	chainPostrouting = "postrouting"
	chainLookup      = "lookup"
)

// String is the nft commands that Apply equals.
func (r Ruleset) String() string {
	text := routedRuleset
	if r.Family == Bridge {
		text = bridgedRuleset
	}
	if r.Family == IPv4 {
		text += guardRuleset
	}
	words := strings.NewReplacer("TABLE", string(r.Family)+" "+Table, "IP", string(r.Family),
		"ADDR", "ipv4_addr", "MULTICAST", "224.0.0.0/4")
	if r.Family == IPv6 {
		words = strings.NewReplacer("TABLE", string(r.Family)+" "+Table, "IP", string(r.Family),
			"ADDR", "ipv6_addr", "MULTICAST", "ff00::/8")
	}
	return "nft -f - <<'END'\n" + words.Replace(text) + "END"
}

// routedRuleset is the ruleset of ip and ip6, in upper case what differs.
const routedRuleset = `add table TABLE
add set TABLE sources { type ADDR; flags interval; }
add set TABLE inside { type ADDR . ADDR; flags interval; }
add set TABLE hairpin { type ADDR . ADDR; flags interval; }
add set TABLE masquerade_all { type ADDR; flags interval; }
add map TABLE hostips { type inet_proto . ADDR . inet_service : ADDR . inet_service; }
add map TABLE hostports { type inet_proto . inet_service : ADDR . inet_service; }
add chain TABLE conditional
add chain TABLE lookup
add chain TABLE prerouting { type nat hook prerouting priority dstnat; policy accept; }
add chain TABLE output { type nat hook output priority -100; policy accept; }
add chain TABLE postrouting { type nat hook postrouting priority srcnat; policy accept; }
flush chain TABLE lookup
flush chain TABLE prerouting
flush chain TABLE output
flush chain TABLE postrouting
add rule TABLE lookup jump conditional
add rule TABLE lookup dnat to meta l4proto . IP daddr . th dport map @hostips
add rule TABLE lookup dnat to meta l4proto . th dport map @hostports
add rule TABLE prerouting fib daddr type local jump lookup
add rule TABLE output fib daddr type local jump lookup
add rule TABLE postrouting ct status dnat IP saddr . IP daddr @hairpin masquerade
add rule TABLE postrouting ct status dnat IP daddr @masquerade_all masquerade
add rule TABLE postrouting IP saddr . IP daddr @inside return
add rule TABLE postrouting IP daddr MULTICAST return
add rule TABLE postrouting IP saddr @sources masquerade
`

// guardRuleset closes what route_localnet opens: a pod could otherwise reach
// services that listen on 127.0.0.1 alone (CVE-2020-8558). Answers to the
// host's own connections arrive for the bridge's address, so they pass.
const guardRuleset = `add set TABLE guarded { type ifname; }
add chain TABLE guard { type filter hook prerouting priority raw; policy accept; }
flush chain TABLE guard
add rule TABLE guard iifname @guarded IP daddr 127.0.0.0/8 drop
`

// bridgedRuleset is the ruleset of the bridge family.
const bridgedRuleset = `add table TABLE
add set TABLE checked { type ifname; }
add set TABLE allowed { type ifname . ether_addr; }
add chain TABLE prerouting { type filter hook prerouting priority dstnat; policy accept; }
flush chain TABLE prerouting
add rule TABLE prerouting iifname @checked iifname . ether saddr != @allowed drop
`
