package conformance

import (
	"net/netip"
)

// link is an interface as the kernel has it.
type link struct {
	Index int
	Name  string
	MAC   string // lower case, "" where the link has none
	MTU   int
	Up    bool
}

// address is an address of a link with the length of its network's prefix.
type address struct {
	Link   int
	Prefix netip.Prefix
}

// route is a unicast route. A zero Gateway means on-link; numbers are 0 where
// the kernel has none.
type route struct {
	Dst      netip.Prefix
	Gateway  netip.Addr
	Link     int
	Table    int
	Priority int
	Scope    int
	MTU      int
	AdvMSS   int
	// Kernel is set for the routes that the kernel adds with an address.
	Kernel bool
}

// linkLocal tells whether the address is one that the kernel makes by itself,
// some time after a link has come up, and so is no plugin's.
func (a address) linkLocal() bool { return a.Prefix.Addr().IsLinkLocalUnicast() }

// linkLocal tells the same of a route.
func (r route) linkLocal() bool {
	return r.Dst.Addr().IsLinkLocalUnicast() || r.Dst.Addr().IsMulticast()
}

// find returns the link of that name.
func find(links []link, name string) (link, bool) {
	for _, l := range links {
		if l.Name == name {
			return l, true
		}
	}
	return link{}, false
}
