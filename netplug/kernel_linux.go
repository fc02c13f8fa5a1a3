package netplug

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/mascri/mascri/netplug/dump"
	"github.com/mascri/mascri/netplug/filter"
	"github.com/mascri/mascri/spec"
)

// kernelStep is what a step does on Linux.
type kernelStep interface {
	Apply(*kernel) error // make it so; nil when it is so already
	Check(*kernel) error // what is missing or different, or nil
}

// kernel is the way to the node's namespace and the pod's: netlink sockets that
// are opened once. Nothing below hops between namespaces: a socket stays in the
// one it was opened in.
type kernel struct {
	host      *netlink.Handle
	raw       map[int]*nl.SocketHandle // for messages that are composed here
	pod       *netlink.Handle          // nil until openPod
	podFile   *os.File
	filter    *filter.Conn            // nil until packetFilter
	hostLinks map[string]netlink.Link // looked up before
	podLinks  map[string]netlink.Link
	taken     map[Step]bool // steps that apply has taken
}

// socketTimeout bounds each wait for the kernel's answer.
const socketTimeout = 10 * time.Second

func openKernel() (*kernel, error) {
	nl.EnableErrorMessageReporting = true // the kernel's own words: NLMSGERR_ATTR_MSG
	host, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, spec.Errorf(spec.Kernel, "open a netlink socket: %w", err)
	}
	k := &kernel{
		host: host, hostLinks: map[string]netlink.Link{}, podLinks: map[string]netlink.Link{}, taken: map[Step]bool{},
	}
	if err := errors.Join(host.SetSocketTimeout(socketTimeout), k.openRaw()); err != nil {
		k.close()
		return nil, spec.Errorf(spec.Kernel, "set up netlink: %w", err)
	}
	return k, nil
}

// openRaw opens a socket on which dumps may be narrowed to one link
// (NETLINK_GET_STRICT_CHK, netlink(7)): without it, listing the bridge's
// addresses costs a message a pod.
func (k *kernel) openRaw() error {
	socket, err := nl.GetNetlinkSocketAt(netns.None(), netns.None(), unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	k.raw = map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: {Socket: socket}}
	timeout := unix.NsecToTimeval(socketTimeout.Nanoseconds())
	return errors.Join(
		socket.SetSendTimeout(&timeout), socket.SetReceiveTimeout(&timeout), socket.SetExtAck(true),
		unix.SetsockoptInt(socket.GetFd(), unix.SOL_NETLINK, unix.NETLINK_GET_STRICT_CHK, 1))
}

// openPod opens the pod's namespace.
func (k *kernel) openPod(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return spec.Errorf(spec.InvalidNetns, "failed to open netns %q: %w: CNI_NETNS must be the path of the container's network namespace", path, err)
	}
	k.podFile = file
	// ioctl_ns(2): anything else than a namespace answers ENOTTY.
	if kind, err := unix.IoctlRetInt(int(file.Fd()), unix.NS_GET_NSTYPE); err != nil || kind != unix.CLONE_NEWNET {
		return spec.Errorf(spec.InvalidNetns, "failed to open netns %q: it is not a network namespace: CNI_NETNS must be the path of the container's", path)
	}
	if k.pod, err = netlink.NewHandleAt(netns.NsHandle(file.Fd()), unix.NETLINK_ROUTE); err != nil {
		return spec.Errorf(spec.Kernel, "open a netlink socket in %s: %w", path, err)
	}
	return k.pod.SetSocketTimeout(socketTimeout)
}

func (k *kernel) podFD() int { return int(k.podFile.Fd()) }

func (k *kernel) close() {
	k.host.Close()
	for _, socket := range k.raw {
		socket.Close()
	}
	if k.pod != nil {
		k.pod.Close()
	}
	if k.podFile != nil {
		k.podFile.Close()
	}
	if k.filter != nil {
		k.filter.Close()
	}
}

// request executes a message that was composed by hand in the host's namespace.
func (k *kernel) request(req *nl.NetlinkRequest, answer uint16) ([][]byte, error) {
	req.Sockets = k.raw
	return req.Execute(unix.NETLINK_ROUTE, answer)
}

// hostLink finds one of the node's links. The kernel is asked once for each:
// what the steps need is the index, which a link keeps for life.
func (k *kernel) hostLink(name string) (netlink.Link, error) {
	if link, ok := k.hostLinks[name]; ok {
		return link, nil
	}
	return k.hostLinkNow(name)
}

// hostLinkNow is hostLink for what may have changed.
func (k *kernel) hostLinkNow(name string) (netlink.Link, error) {
	link, err := k.host.LinkByName(name)
	if err != nil {
		return nil, fmt.Errorf("look up %s: %w", name, err)
	}
	k.hostLinks[name] = link
	return link, nil
}

// podLink finds one of the pod's links, and asks once as well.
func (k *kernel) podLink(name string) (netlink.Link, error) {
	if link, ok := k.podLinks[name]; ok {
		return link, nil
	}
	link, err := k.pod.LinkByName(name)
	if err != nil {
		return nil, fmt.Errorf("look up %s in the pod: %w", name, err)
	}
	k.podLinks[name] = link
	return link, nil
}

// addresses lists the global addresses of one link in one family.
func (k *kernel) addresses(index int, like netip.Addr) ([]netip.Prefix, error) {
	messages, err := dump.Whole(func() ([][]byte, error) {
		req := nl.NewNetlinkRequest(unix.RTM_GETADDR, unix.NLM_F_DUMP)
		msg := nl.NewIfAddrmsg(family(like))
		msg.Index = uint32(index)
		req.AddData(msg)
		return k.request(req, unix.RTM_NEWADDR)
	})
	if err != nil {
		return nil, err
	}
	var all []netip.Prefix
	for _, m := range messages {
		msg := nl.DeserializeIfAddrmsg(m)
		attrs, err := nl.ParseRouteAttr(m[msg.Len():])
		if err != nil {
			return nil, err
		}
		if int(msg.Index) != index || msg.Scope == unix.RT_SCOPE_LINK {
			continue
		}
		if addr, ok := localAddress(attrs); ok {
			all = append(all, netip.PrefixFrom(addr, int(msg.Prefixlen)))
		}
	}
	return all, nil
}

// localAddress is IFA_LOCAL, or for IPv6 IFA_ADDRESS alone.
func localAddress(attrs []syscall.NetlinkRouteAttr) (netip.Addr, bool) {
	var found netip.Addr
	for _, attr := range attrs {
		if t := attr.Attr.Type; t == unix.IFA_LOCAL || t == unix.IFA_ADDRESS && !found.IsValid() {
			if addr, ok := netip.AddrFromSlice(attr.Value); ok {
				found = addr
			}
		}
	}
	return found, found.IsValid()
}

func isNotFound(err error) bool {
	var notFound netlink.LinkNotFoundError
	return errors.As(err, &notFound) || errors.Is(err, unix.ENODEV)
}

// sysfs reads an attribute of a host link; false where /sys belongs to another
// namespace than the socket, or is not there.
func sysfs(link netlink.Link, attribute string) (string, bool) {
	dir := "/sys/class/net/" + link.Attrs().Name + "/"
	index, err := os.ReadFile(dir + "ifindex")
	if err != nil || strings.TrimSpace(string(index)) != fmt.Sprint(link.Attrs().Index) {
		return "", false
	}
	value, err := os.ReadFile(dir + attribute)
	return strings.TrimSpace(string(value)), err == nil
}

// randomMAC makes a locally administered unicast address (IEEE 802, 8.4), as
// random as the kernel's own: it has to be different, not secret.
func randomMAC() net.HardwareAddr {
	var bits [8]byte
	binary.NativeEndian.PutUint64(bits[:], rand.Uint64())
	mac := net.HardwareAddr(bits[:6])
	mac[0] = mac[0]&^1 | 2
	return mac
}

func family(a netip.Addr) int {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}
