// Package portmap is the portmap plugin: after another plugin of the list has
// given a container its addresses, it leads ports of the host to them.
//
// Everything it has in the kernel is package filter's: config.go reads what is
// asked for, plan.go turns it into filter's steps, verbs_linux.go applies,
// checks and removes them. One ADD is one transaction, whatever the number of
// ports, and DEL knows what to remove without being told the ports again.
//
// It takes the configuration of the reference plugin of that name. Whichever
// backend is asked for, the rules go to nftables over netlink: what the backends
// differ in (marks, and the chains that set them) serves to masquerade the
// clients that need it, which is done here without a mark.
package portmap
