//go:build bench

package bench

import (
	"fmt"
	"net"
	"os"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// floor makes and removes what a plain ADD makes, in this process and straight
// over netlink: what no plugin can be faster than.
func (n *node) floor(i int) (add, del time.Duration) {
	n.Helper()
	bridge, err := netlink.LinkByName("br-ours")
	if err != nil {
		n.Fatal(err)
	}
	n.pod()
	pod := n.pods[len(n.pods)-1]
	name := fmt.Sprintf("floor%d", i)

	start := time.Now()
	if err := makeFloor(bridge, name, pod); err != nil {
		n.Fatalf("floor: %v", err)
	}
	add = time.Since(start)

	start = time.Now()
	link, err := netlink.LinkByName(name)
	if err == nil {
		err = netlink.LinkDel(link)
	}
	if err != nil {
		n.Fatalf("floor: %v", err)
	}
	return add, time.Since(start)
}

func makeFloor(bridge netlink.Link, name string, pod *os.File) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MasterIndex, attrs.Flags = name, bridge.Attrs().Index, net.FlagUp
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: "eth0", PeerNamespace: netlink.NsFd(pod.Fd())}
	if err := netlink.LinkAdd(veth); err != nil {
		return fmt.Errorf("add %s: %w", name, err)
	}
	h, err := netlink.NewHandleAt(netns.NsHandle(pod.Fd()), unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer h.Close()
	eth, err := h.LinkByName("eth0")
	if err != nil {
		return err
	}
	address := &netlink.Addr{IPNet: &net.IPNet{IP: net.IPv4(10, 200, 0, 2), Mask: net.CIDRMask(24, 32)}}
	if err := h.AddrAdd(eth, address); err != nil {
		return err
	}
	if err := h.LinkSetUp(eth); err != nil {
		return err
	}
	return h.RouteAdd(&netlink.Route{LinkIndex: eth.Attrs().Index, Gw: net.IPv4(10, 200, 0, 1)})
}
