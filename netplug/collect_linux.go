package netplug

import (
	"errors"

	"github.com/vishvananda/netlink"

	"github.com/mascri/mascri/netplug/filter"
	"github.com/mascri/mascri/spec"
)

// collectLinks deletes the network's host ends that no valid attachment has.
func (k *kernel) collectLinks(network string, valid []spec.Attachment) error {
	keep := make(map[string]bool, len(valid))
	for _, a := range valid {
		keep[hostEnd(network, a)] = true
	}
	links, err := dump(k.host.LinkList)
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
