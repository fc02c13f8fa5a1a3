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
type floor struct{ bridge netlink.Link }

func (n *node) floor() floor {
	n.Helper()
	n.sh("ip link add br-floor type bridge; ip addr add 10.200.0.1/16 dev br-floor; ip link set br-floor up")
	bridge, err := netlink.LinkByName("br-floor")
	if err != nil {
		n.Fatal(err)
	}
	return floor{bridge}
}

func (f floor) add(n *node, i int, path string) time.Duration {
	n.Helper()
	pod, err := os.Open(path)
	if err != nil {
		n.Fatal(err)
	}
	defer pod.Close()
	start := time.Now()
	if err := f.make(fmt.Sprintf("floor%d", i), pod); err != nil {
		n.Fatalf("floor: %v", err)
	}
	return time.Since(start)
}

func (f floor) del(n *node, i int, _ string) time.Duration {
	n.Helper()
	start := time.Now()
	link, err := netlink.LinkByName(fmt.Sprintf("floor%d", i))
	if err == nil {
		err = netlink.LinkDel(link)
	}
	if err != nil {
		n.Fatalf("floor: %v", err)
	}
	return time.Since(start)
}

func (f floor) make(name string, pod *os.File) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MasterIndex, attrs.Flags = name, f.bridge.Attrs().Index, net.FlagUp
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
	address := &netlink.Addr{IPNet: &net.IPNet{IP: net.IPv4(10, 200, 0, 2), Mask: net.CIDRMask(16, 32)}}
	if err := h.AddrAdd(eth, address); err != nil {
		return err
	}
	if err := h.LinkSetUp(eth); err != nil {
		return err
	}
	return h.RouteAdd(&netlink.Route{LinkIndex: eth.Attrs().Index, Gw: net.IPv4(10, 200, 0, 1)})
}
