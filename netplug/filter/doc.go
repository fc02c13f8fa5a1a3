// Package filter is the packet filter of the bridge and portmap plugins, spoken
// to the kernel's nftables over netlink, without starting a process.
//
// Each thing the filter can hold is a small comparable struct that prints itself
// as nft commands (String), and on Linux writes itself (Apply) and says what the
// kernel holds differently (Check). Steps for the node come first:
//
//	Ruleset{IPv4}                  the table: maps and the chains that use them
//	Masquerade{Network, Source}    a network's pods hide behind the host
//	Hairpin{Network, Pods, If}     host ports work from the pods and from 127.0.0.1
//	MasqueradeAll{Network, Pods}   every client of a host port hides behind the host
//	Conditions{Family, Match}      some host ports are for some packets only
//	ForwardAccept{Bridge, Family}  a host that drops what it forwards lets pods through
//
// then those of one attachment, which RemoveOwner takes away knowing nothing but
// its Owner, and Collect for all attachments that are gone:
//
//	HostPort{Owner, …}             a port of the host leads to the pod
//	SpoofCheck{Owner, …}           the pod sends with its own MAC address only
//
// A Conn collects what is to be done; Flush reads what it has to know and
// commits everything as one transaction: all of it holds, or none. The number of
// messages does not depend on how many pods and ports the node has. Connections
// that a changed host port made stale are forgotten after the commit.
//
// For STATUS, Usable tells whether the kernel takes the rulesets, and Obstacles
// what else on the host drops the pods' packets. RemoveReference and its like
// take back what the reference plugins left.
//
// Read ruleset.go first (the rules every packet passes, in nft's own language),
// then hostport.go and conn_linux.go.
package filter
