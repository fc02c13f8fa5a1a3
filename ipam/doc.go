// Package ipam leases addresses to containers: an IPAM plugin in the sense of
// CNI's section 4, and a drop-in for the reference host-local. Its whole state
// is files, and a lease is a file: the name is the address, the content the
// container ID and interface that hold it.
//
// Read it in this order: verbs.go (what ADD, DEL, CHECK, GC and STATUS do),
// config.go and ranges.go (JSON to checked values, once), allocate.go (which
// address: a pure function), used.go (the set it searches), store.go (the
// files), open.go (when their directory is made), change.go (how they change),
// index.go and rebuild.go (why 60,000 leases cost what one does, and how that
// survives other writers, crashes and reboots), lock.go, boot.go, disk.go.
//
// Rules that hold everywhere: one lock from the first look to the last write
// of a command; a failed ADD leaves nothing and releases nothing that it did
// not make; the lease files are the truth and everything else a cache.
//
// You come from package netplug, whose ADD executes this plugin before it
// plans the pod's links.
package ipam
