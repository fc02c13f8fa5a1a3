package loopback

import (
	"context"
	"os"
	"time"

	current "github.com/containernetworking/cni/pkg/types/100"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/mascri/mascri/netplug/dump"
	"github.com/mascri/mascri/spec"
)

// name is every namespace's loopback interface (net/core/dev.c makes it with
// the namespace); CNI_IFNAME does not matter.
const name = "lo"

// socketTimeout bounds each wait for the kernel's answer.
const socketTimeout = 10 * time.Second

// loopback is lo in one network namespace, by a netlink socket that was opened
// there: the plugin's own thread stays where it is.
type loopback struct {
	path   string // CNI_NETNS
	handle *netlink.Handle
	link   netlink.Link
}

// open opens the namespace at path and looks up its lo. Errors have code 8
// where path is no network namespace.
func open(path string) (*loopback, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, spec.Errorf(spec.InvalidNetns, "failed to open netns %q: %w: CNI_NETNS must be the path of the container's network namespace", path, err)
	}
	defer func() { _ = file.Close() }() // read-only: closing it can lose nothing
	// ioctl_ns(2): anything else than a namespace answers ENOTTY.
	if kind, err := unix.IoctlRetInt(int(file.Fd()), unix.NS_GET_NSTYPE); err != nil || kind != unix.CLONE_NEWNET {
		return nil, spec.Errorf(spec.InvalidNetns, "failed to open netns %q: it is not a network namespace: CNI_NETNS must be the path of the container's", path)
	}
	handle, err := netlink.NewHandleAt(netns.NsHandle(file.Fd()), unix.NETLINK_ROUTE)
	if err != nil {
		return nil, spec.Errorf(spec.Kernel, "open a netlink socket in %s: %w", path, err)
	}
	lo := &loopback{path: path, handle: handle}
	err = handle.SetSocketTimeout(socketTimeout)
	if err == nil {
		lo.link, err = handle.LinkByName(name)
	}
	if err != nil {
		lo.close()
		return nil, spec.Errorf(spec.Kernel, "look up lo in %s: %w", path, err)
	}
	return lo, nil
}

func (lo *loopback) close() { lo.handle.Close() }

// set changes lo's state and reports it as one step of a trace.
func (lo *loopback) set(ctx context.Context, state string, change func(*netlink.Handle, netlink.Link) error) error {
	err := spec.Do(ctx, "loopback", "nsenter --net="+lo.path+" ip link set lo "+state, func() error {
		return change(lo.handle, lo.link)
	})
	if err != nil {
		return spec.Errorf(spec.Kernel, "set lo %s in %s: %w", state, lo.path, err)
	}
	return nil
}

// addresses lists lo's addresses, IPv4 first.
func (lo *loopback) addresses() ([]netlink.Addr, error) {
	var all []netlink.Addr
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		some, err := dump.Whole(func() ([]netlink.Addr, error) { return lo.handle.AddrList(lo.link, family) })
		if err != nil {
			return nil, spec.Errorf(spec.CodeOr(err, spec.Kernel), "list the addresses of lo in %s: %w", lo.path, err)
		}
		all = append(all, some...)
	}
	return all, nil
}

// refuseForeignAddresses ends an ADD in a namespace whose lo somebody uses for
// routable addresses: there, setting it up would announce them.
func (lo *loopback) refuseForeignAddresses() error {
	all, err := lo.addresses()
	if err != nil {
		return err
	}
	for _, a := range all {
		if !a.IP.IsLoopback() {
			return spec.Errorf(spec.Kernel, "loopback interface found with non-loopback address %q: remove it from lo in %s", a.IP, lo.path)
		}
	}
	return nil
}

// result describes lo and the first address of each family that the kernel gave
// it when it came up.
func (lo *loopback) result() (*current.Result, error) {
	all, err := lo.addresses()
	if err != nil {
		return nil, err
	}
	attrs := lo.link.Attrs()
	result := &current.Result{
		CNIVersion: current.ImplementedSpecVersion,
		Interfaces: []*current.Interface{{Name: name, Mac: "00:00:00:00:00:00", Mtu: attrs.MTU, Sandbox: lo.path}},
	}
	seen := map[bool]bool{}
	for _, a := range all {
		if is4 := a.IP.To4() != nil; !seen[is4] {
			seen[is4] = true
			result.IPs = append(result.IPs, &current.IPConfig{Interface: current.Int(0), Address: *a.IPNet})
		}
	}
	return result, nil
}
