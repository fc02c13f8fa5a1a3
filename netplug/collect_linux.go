package netplug

import (
	"errors"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/mascri/mascri/netplug/dump"
	"github.com/mascri/mascri/netplug/filter"
	"github.com/mascri/mascri/spec"
)

// collectLinks deletes the network's host ends that no valid attachment has.
func (k *kernel) collectLinks(network string, valid []spec.Attachment) error {
	keep := make(map[string]bool, len(valid))
	for _, a := range valid {
		keep[hostEnd(network, a)] = true
	}
	links, err := dump.Whole(k.veths)
	if err != nil {
		return spec.Errorf(kernelCode(err), "list links: %w", err)
	}
	var errs []error
	for _, link := range links {
		if stale(network, link, keep) {
			errs = append(errs, k.removeHostLink(link.Attrs().Name))
		}
	}
	return errors.Join(errs...)
}

// skipStats is RTEXT_FILTER_SKIP_STATS of linux/rtnetlink.h.
const skipStats = 1 << 3

// veths lists the node's veth pairs, without their statistics: the fewer messages
// it takes, the rarer a pod that comes or goes interrupts it. A kernel that does
// not know the filter lists every link.
func (k *kernel) veths() ([]netlink.Link, error) {
	req := nl.NewNetlinkRequest(unix.RTM_GETLINK, unix.NLM_F_DUMP)
	req.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated("veth"))
	req.AddData(info)
	req.AddData(nl.NewRtAttr(unix.IFLA_EXT_MASK, nl.Uint32Attr(skipStats)))
	messages, err := k.request(req, unix.RTM_NEWLINK)
	if err != nil {
		return nil, err
	}
	links := make([]netlink.Link, 0, len(messages))
	for _, m := range messages {
		link, err := netlink.LinkDeserialize(nil, m)
		if err != nil {
			return nil, err
		}
		links = append(links, link)
	}
	return links, nil
}

func stale(network string, link netlink.Link, keep map[string]bool) bool {
	attrs := link.Attrs()
	return link.Type() == "veth" && ownedBy(network, attrs.Name, attrs.Alias) && !keep[attrs.Name]
}

// collectFilter does the same in the packet filter.
func (k *kernel) collectFilter(network string, valid []spec.Attachment) error {
	conn, err := k.packetFilter()
	if err != nil {
		return spec.Errorf(spec.Kernel, "%w", err)
	}
	keep := make([]filter.Owner, 0, len(valid))
	for _, a := range valid {
		keep = append(keep, filter.Owner{Network: network, ContainerID: a.ContainerID, IfName: a.IfName})
	}
	filter.CollectReference(conn, network, keep)
	if err := errors.Join(conn.Flush(), filter.Collect(conn, network, keep)); err != nil {
		return spec.Errorf(kernelCode(err), "packet filter: %w", err)
	}
	return nil
}
