package netplug

import (
	"strings"

	current "github.com/containernetworking/cni/pkg/types/100"
	"github.com/vishvananda/netlink"

	"github.com/mascri/mascri/spec"
)

// result describes what ADD made (SPEC section 5, "Success"): the bridge, the
// host's end and the container's, with the MACs that the kernel gave them.
func (k *kernel) result(cfg Config, leases []Lease, routes []Route, ipam *current.Result) (*current.Result, error) {
	bridge, err := k.hostLinkNow(cfg.Bridge) // its MTU follows its ports'
	if err != nil {
		return nil, spec.Errorf(spec.Kernel, "%w", err)
	}
	host, err := k.hostLink(hostEnd(cfg.Network, cfg.Attachment))
	if err != nil {
		return nil, spec.Errorf(spec.Kernel, "%w", err)
	}
	pod, err := k.podLink(cfg.Attachment.IfName)
	if err != nil {
		return nil, spec.Errorf(spec.Kernel, "%w", err)
	}
	interfaces := []*current.Interface{described(bridge, ""), described(host, ""), described(pod, cfg.Netns)}
	if gateway := cfg.gatewayLink(); gateway != cfg.Bridge && len(leases) > 0 {
		leg, err := k.hostLink(gateway)
		if err != nil {
			return nil, spec.Errorf(spec.Kernel, "%w", err)
		}
		interfaces = append(interfaces, described(leg, ""))
	}
	leases = withGateways(cfg, leases)
	return &current.Result{
		CNIVersion: current.ImplementedSpecVersion,
		Interfaces: interfaces,
		IPs:        ipConfigs(leases),
		Routes:     resultRoutes(ipam.Routes, withDefaults(cfg, leases, routes)),
		DNS:        dns(cfg, ipam.DNS),
	}, nil
}

func described(link netlink.Link, sandbox string) *current.Interface {
	attrs := link.Attrs()
	return &current.Interface{Name: attrs.Name, Mac: attrs.HardwareAddr.String(), Mtu: attrs.MTU, Sandbox: sandbox}
}

// checkInterfaces looks for every interface that the prevResult puts into this
// host or this pod. The container's MAC becomes part of the configuration:
// whoever chose it, the spoof check is about that one.
func (k *kernel) checkInterfaces(cfg Config, prev *current.Result) (Config, error) {
	cfg.HostEnd = k.foreignHostEnd(cfg, prev)
	for _, reported := range prev.Interfaces {
		look := k.hostLink
		switch reported.Sandbox {
		case "":
		case cfg.Netns:
			look = k.podLink
		default:
			continue // another namespace's, or the same one by another path
		}
		link, err := look(reported.Name)
		if err != nil {
			return cfg, spec.Errorf(spec.CheckFailed, "interface %s of the prevResult: %w", reported.Name, err)
		}
		mac := link.Attrs().HardwareAddr
		if reported.Mac != "" && !isZeroText(reported.Mac) && !strings.EqualFold(reported.Mac, mac.String()) {
			return cfg, spec.Errorf(spec.CheckFailed, "interface %s has MAC %s, ADD reported %s", reported.Name, mac, reported.Mac)
		}
		if reported.Sandbox != "" && reported.Name == cfg.Attachment.IfName {
			cfg.MAC = mac
		}
	}
	if cfg.SpoofCheck && cfg.MAC == nil {
		pod, err := k.podLink(cfg.Attachment.IfName)
		if err != nil {
			return cfg, spec.Errorf(spec.CheckFailed, "%w", err)
		}
		cfg.MAC = pod.Attrs().HardwareAddr
	}
	return cfg, nil
}

// foreignHostEnd is the host's end that the prevResult names, where there is
// none of our own name: the reference plugin made this attachment.
func (k *kernel) foreignHostEnd(cfg Config, prev *current.Result) string {
	if _, err := k.host.LinkByName(cfg.hostEnd()); !isNotFound(err) {
		return ""
	}
	for _, reported := range prev.Interfaces {
		link, err := k.host.LinkByName(reported.Name)
		if err == nil && reported.Sandbox == "" && reported.Name != cfg.Bridge && link.Type() == "veth" {
			return reported.Name
		}
	}
	return ""
}

// isZeroText recognises the MAC that is reported for lo, where netlink has none.
func isZeroText(mac string) bool { return strings.Trim(mac, "0:") == "" }
