package differential

import "regexp"

// An acceptance is a kind of difference that stays, and why. It covers every
// observed difference whose scenario, name and values it matches.
type acceptance struct {
	subject        string // the heading it is listed under
	reference      string // what the reference plugins do
	ours           string // what ours do
	why            string
	test           string         // of its own, where it shows in no scenario
	scenario       *regexp.Regexp // nil matches all
	name           *regexp.Regexp
	theirs, values string // as observed; "" matches every value
}

// covers tells whether the difference is of the accepted kind.
func (a acceptance) covers(scenario string, d difference) bool {
	return a.test == "" && (a.scenario == nil || a.scenario.MatchString(scenario)) && a.name.MatchString(d.name) &&
		(a.theirs == "" || a.theirs == d.reference) && (a.values == "" || a.values == d.ours)
}

// at compiles a pattern that the whole of a name must match.
func at(pattern string) *regexp.Regexp { return regexp.MustCompile("^(" + pattern + ")$") }

// Subjects, in the page's order.
const (
	results  = "Results and errors"
	failures = "When ADD fails"
	node     = "On the node"
	ports    = "Host ports"
	pod      = "In the pod"
	files    = "On disk"
	removal  = "CHECK and DEL"
	switched = "While a node is switched"
)

var subjects = []string{results, failures, node, pod, ports, files, removal, switched}

// accepted is the whole table. docs/differences.md is made from it.
var accepted = []acceptance{
	{
		subject: results, name: at(`.*/result/interfaces/\d+/mtu`), theirs: "absent",
		reference: "A result never names an interface's MTU.",
		ours:      "`interfaces[].mtu` is there, for a cniVersion that has the key (1.1.0) and for those before, which ignore it.",
		why:       "SPEC section 5 lists it, and runtimes that chain plugins have no other way to know.",
	},
	{
		subject: results, name: at(`.*/error/code`), theirs: "999",
		reference: "Whatever a plugin itself reports has code 999.",
		ours:      "The specification's codes: 2 a key that this kernel cannot serve, 4 environment, 6 undecodable, 7 configuration, 8 namespace, 11 try again, 50 and 51 for STATUS; from 100 on our own: kernel, exhausted, check, store.",
		why:       "A runtime can act on a code. The messages keep the reference's words, and say more.",
	},
	{
		subject: results, scenario: at(`loopback, version 0\.\d\.\d`), name: at(`add/loopback/result/(interfaces|ip4|ip6|ips(/\d/version)?)`),
		reference: "loopback prints a result of today's form, labelled with the old version.",
		ours:      "The result has the form of the version: `ip4` and `ip6` until 0.2.0, `ips[].version` until 0.4.0.",
		why:       "A runtime that speaks an old version finds no address in the other.",
	},
	{
		subject: results, scenario: at(`default gateway and routes`),
		name:      at(`add/bridge/(exit|error|result)|after ADD|after DEL|CHECK|packets|(repeated )?DEL|after the failed ADD|DEL after the failed ADD`),
		reference: "`isDefaultGateway` and a default route of the IPAM plugin without a gateway: ADD fails, \"file exists\".",
		ours:      "The pod gets one default route, through the bridge.",
		why:       "Both say the same thing, and nothing is lost by saying it twice.",
	},
	{
		subject: failures, name: at(`after the failed ADD/(node/link (HOST1|cni0)|pod 1/link eth0)|after (ADD|DEL)/(node/link HOST2|pod 2/link eth0)`), theirs: "present", values: "absent",
		reference: "A failed ADD leaves what it had made: both ends of the veth pair, a bridge that nobody asked for.",
		ours:      "A failed ADD leaves nothing of the attachment. A configuration that is refused, and a network without a free address, are refused before anything is made; where a later step fails, the node's part stays: bridge, gateway address, forwarding.",
		why:       "What is left of an attachment blocks the next ADD (\"already exists\") and nobody deletes it. The bridge is everybody's once it is there: to take it away again could cut off a pod whose ADD has joined it meanwhile.",
	},
	{
		subject: failures, name: at(`after the failed ADD/file leases(/lab/last_reserved_ip\.0)?`), theirs: "present", values: "absent",
		reference: "A failed ADD may leave the lease directory, or move `last_reserved_ip` on.",
		ours:      "Where no address can be had, both are as before. One that was given back after a later step failed was the round's latest. The directory is made for the first lease, not by CHECK, DEL, GC or STATUS.",
		why:       "A request that cannot be met costs no address of the round.",
	},
	{
		subject: failures, test: "TestRelativeDirectory",
		reference: "A relative `dataDir` is taken from the working directory of the runtime.",
		ours:      "ADD, CHECK and STATUS refuse it, with code 7; DEL and GC look for leases there.",
		why:       "Started from another directory, the same network would hand its addresses out again. What was leased there can still be given back.",
	},
	{
		subject: failures, scenario: at(`loopback with a foreign address`), name: at(`after the failed ADD/pod 1/link lo/.*`),
		reference: "loopback sets lo up, and then refuses because of an address on it.",
		ours:      "It refuses first.",
		why:       "A failed ADD changes nothing.",
	},
	{
		subject: failures, name: at(`DEL after the failed ADD/[a-z]*/(exit|error)`),
		reference: "DEL judges the whole configuration, and fails where it is invalid.",
		ours:      "DEL needs the names and the data directory, and succeeds.",
		why:       "An attachment that was made with a good configuration must not stay because of a later edit. Runtimes call DEL after a failed ADD and would repeat it for ever.",
	},
	{
		subject: node, name: at(`.*/node/link HOST\d/ifalias`), theirs: "absent",
		reference: "The host's end of a veth pair is called `veth` and 8 random digits.",
		ours:      "Its name is derived from network, container and interface, and its alias (`ip link`) says them.",
		why:       "DEL and GC find it without a namespace or a result, and a person sees whose it is.",
	},
	{
		subject: node, name: at(`.*/node/link HOST\d/txqlen`), theirs: "absent",
		reference: "The host's end has a transmit queue of length 0.",
		ours:      "It has the kernel's default.",
		why:       "A queueing discipline that is attached later takes its limit from there, and one of 0 drops every packet.",
	},
	{
		subject: node, name: at(`after DEL/node/link (cni0|br-lab)/address`), values: "MAC",
		reference: "A bridge without a gateway address takes its MAC from its ports: another one joins and it changes, the last one leaves and it is zero.",
		ours:      "The MAC is pinned when the bridge is made.",
		why:       "Pods that have cached it lose their way when another pod goes.",
	},
	{
		subject: node, scenario: at(`MTU.*`), name: at(`after DEL/node/link cni0/(mtu|sysctl ipv6/mtu|address fe80::LL)`),
		reference: "A bridge loses its `mtu` when the last pod leaves, and never gets it back.",
		ours:      "It keeps it.",
		why:       "The kernel recomputes an MTU that was given at creation; ours is set afterwards.",
	},
	{
		subject: node, name: at(`.*/node/link uplink/sysctl ipv6/accept_ra`), theirs: "1", values: "2",
		reference: "Enabling IPv6 forwarding makes the node deaf to router advertisements, and its default route expires.",
		ours:      "Links that listened go on listening (accept_ra=2).",
		why:       "The node keeps its uplink.",
	},
	{
		subject: node, name: at(`.*/node/link (cni0|br-lab)/address .*/nodad`), theirs: "absent",
		reference: "The gateway's IPv6 address is probed for duplicates: the first pod cannot reach it for a second after ADD returned.",
		ours:      "It is usable at once (nodad).",
		why:       "The network belongs to the bridge; nobody else can have its gateway's address.",
	},
	{
		subject: node, test: "TestPortVLANs", // of test/vlan, on a kernel that has them
		reference: "A port whose `vlanTrunk` holds its `vlan` too is only tagged there, and what the pod sends untagged is dropped.",
		ours:      "`vlan` is the untagged one, whatever the trunk holds.",
		why:       "A trunk of all VLANs is often written as a range, which would take the pod's own away.",
	},
	{
		subject: pod, name: at(`.*/pod \d/link eth0/address .*/nodad`), theirs: "absent",
		reference: "Probing is turned off by a sysctl, which has no effect where `all/accept_dad` is set.",
		ours:      "Each address is marked (nodad) as well, unless `enabledad` asks for probes.",
		why:       "The address is usable when ADD returns, whatever the namespace's settings.",
	},
	{
		subject: pod, name: at(`.*/pod \d/link eth0/sysctl ipv6/accept_ra`), theirs: "1", values: "0",
		reference: "A pod with IPv6 listens to router advertisements.",
		ours:      "It does not.",
		why:       "Any pod on the bridge could give the others addresses and a default route. What IPAM says is all there is.",
	},
	{
		subject: pod, scenario: at(`route with MTU`), name: at(`after ADD/pod 1/link eth0/route .*/metrics`), theirs: "absent",
		reference: "A route's `mtu` and `advmss` are reported, and not installed.",
		ours:      "They are installed.",
		why:       "The result says that they are.",
	},
	{
		subject: ports, scenario: at(`host port of two pods`), name: at(`packets/host port .*|CHECK/portmap/(exit|error)`),
		reference: "Of two mappings of one host port the oldest wins (iptables backend).",
		ours:      "The newest wins, and CHECK of the older one says so.",
		why:       "The older one is what a runtime forgot to delete; it would make the port unusable for good.",
	},
	{
		subject: ports, scenario: at(`host port, masqAll, nftables`), name: at(`packets/host port .* the pod sees`),
		reference: "`masqAll` has no effect with the nftables backend.",
		ours:      "It hides every client behind the node, whichever backend is named.",
		why:       "The key belongs to no backend. A node that was moved from iptables to nftables would lose its effect without a word.",
	},
	{
		subject: ports, scenario: at(`host port, external mark chain`), name: at(`packets/.*`),
		reference: "`externalSetMarkChain`: who has to be masqueraded is marked by a chain of somebody else.",
		ours:      "They are masqueraded without a mark; the chain is not used.",
		why:       "The effect is the same where that chain marks and its owner masquerades, as Kubernetes' does. There is no iptables to jump to it from.",
	},
	{
		subject: ports, test: "TestUselessHostPorts",
		reference: "Host ports of a pod without an address are passed over in silence; of two container ports for one host port only the first is reached.",
		ours:      "ADD fails with code 7, before it changes anything.",
		why:       "Somebody asked for a port that would not answer, and would have to find out why.",
	},
	{
		subject: ports, scenario: at(`host port, other family|host port at an IPv6 address`), name: at(`after ADD/node/link cni0/sysctl ipv4/route_localnet`), theirs: "1",
		reference: "Host ports let packets from 127.0.0.1 into the pods' network (route_localnet) even where none of them is for the pod's address family.",
		ours:      "Only where one is.",
		why:       "There is nothing that 127.0.0.1 could lead to.",
	},
	{
		subject: files, name: at(`.*/file leases/\.ipam`), theirs: "absent",
		reference: "Every lookup reads every lease.",
		ours:      "An index lies in `.ipam` in the data directory, beside the networks' directories.",
		why:       "60,000 leases cost what one does. The leases are the reference's; the index can be deleted at any time.",
	},
	{
		subject: files, name: at(`.*/file leases/lab/lock`), theirs: "-rwxr-x---", values: "-rw-------",
		reference: "The lock file may be executed, and opened by root's group.",
		ours:      "Only its owner may open it.",
		why:       "Whoever can open it can hold the lock and stop every ADD of the node.",
	},
	{
		subject: removal, scenario: at(`layer 2.*|container interface down`), name: at(`CHECK/bridge/(exit|error)`),
		reference: "CHECK of a network without IPAM fails: \"no plugin name provided\".",
		ours:      "It checks what is there.",
		why:       "There is nothing wrong.",
	},
	{
		subject: removal, scenario: at(`routes`), name: at(`CHECK/bridge/(exit|error)`),
		reference: "CHECK looks for routes in the main table only, and misses one that `table` put elsewhere.",
		ours:      "It looks in the route's table.",
		why:       "ADD put it there.",
	},
	{
		subject: removal, scenario: at(`another port joins`), name: at(`CHECK/bridge/(exit|error)`),
		reference: "CHECK fails after another pod joined: the bridge's MAC is no longer the one that was reported.",
		ours:      "The bridge keeps its MAC.",
		why:       "See above: it is pinned.",
	},
	{
		subject: removal, scenario: at(`DEL without namespace and prevResult`), name: at(`after DEL/(node/link HOST1|pod 1/link eth0|packet filter names pod-one)`),
		reference: "DEL without CNI_NETNS releases the lease and leaves the link, the masquerade and the spoof check.",
		ours:      "It removes all of it.",
		why:       "SPEC section 2: DEL without a namespace should clean up as much as possible.",
	},
	{
		subject: switched, test: "TestOursChecksTheReferences",
		reference: "CHECK and DEL know what its own ADD made.",
		ours:      "They know it too: links, leases, masquerade, spoof check and host ports, in nftables, and in iptables where it is iptables-nft. With iptables-legacy portmap's CHECK finds no host port, and DEL leaves it.",
		why:       "Pods that run while a node is switched are none the worse. What is written with iptables-legacy cannot be reached over netlink.",
	},
	{
		subject: switched, test: "TestReferenceDeletesOurs",
		reference: "DEL and CHECK of an attachment that ours made: bridge and host-local take back links and leases, portmap's CHECK finds no rules, and the host port stays open.",
		ours:      "The next DEL or GC by ours removes the host port.",
		why:       "The reference knows no rules but its own. Delete pods with host ports before switching back.",
	},
}
