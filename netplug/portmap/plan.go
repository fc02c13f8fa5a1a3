package portmap

import (
	"net"
	"net/netip"

	current "github.com/containernetworking/cni/pkg/types/100"

	"github.com/mascri/mascri/netplug/filter"
	"github.com/mascri/mascri/spec"
)

// Step is one thing the plugin makes: one of package filter's, which prints as
// the commands that do the same by hand.
type Step interface {
	String() string
	kernelStep
}

// Plan says all that an ADD makes, in order: for each of the container's
// addresses that a mapping is for, first what the network shares, then the host
// ports. It touches nothing. device names the host's interface that leads to an
// address.
func Plan(c Config, owner filter.Owner, addresses []netip.Prefix, device func(netip.Addr) string) []Step {
	var steps []Step
	for _, address := range addresses {
		ports := hostPorts(c, owner, address.Addr())
		if len(ports) == 0 {
			continue
		}
		steps = append(steps, shared(c, address, device(address.Addr()))...)
		steps = append(steps, ports...)
	}
	return steps
}

// shared is what the host ports of a network need beside themselves.
func shared(c Config, address netip.Prefix, device string) []Step {
	family := filter.FamilyOf(address.Addr())
	steps := []Step{filter.Ruleset{Family: family}}
	if conditions := c.conditions(family); conditions.Match != "" {
		steps = append(steps, conditions)
	}
	if c.SNAT {
		steps = append(steps, filter.Hairpin{Network: c.Network, Pods: address.Masked(), Interface: device})
		if family == filter.IPv4 && device != "" {
			steps = append(steps, RouteLocalnet{Interface: device})
		}
	}
	if c.MasqueradeAll {
		steps = append(steps, filter.MasqueradeAll{Network: c.Network, Pods: address.Masked()})
	}
	return steps
}

func (c Config) conditions(family filter.Family) filter.Conditions {
	if family == filter.IPv6 {
		return c.IPv6
	}
	return c.IPv4
}

// hostPorts are the mappings that are for the address's family.
func hostPorts(c Config, owner filter.Owner, pod netip.Addr) (steps []Step) {
	family := filter.FamilyOf(pod)
	for _, m := range c.Ports {
		if m.HostIP.IsValid() && filter.FamilyOf(m.HostIP) != family {
			continue
		}
		steps = append(steps, filter.HostPort{
			Owner: owner, Protocol: m.Protocol, HostIP: m.HostIP, HostPort: m.HostPort,
			Pod: netip.AddrPortFrom(pod, m.ContainerPort), Match: c.conditions(family).Match,
		})
	}
	return steps
}

// Addresses are the container's first IPv4 and first IPv6 address in the result
// of the plugins before: those of the interface that CNI_IFNAME names inside the
// container, or of no known interface.
func Addresses(result *current.Result, ifName string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, ip := range result.IPs {
		if !ofContainer(result, ip, ifName) {
			continue
		}
		prefix, err := prefixOf(ip.Address)
		if err != nil {
			return nil, err
		}
		if len(all) == 0 || len(all) == 1 && all[0].Addr().Is4() != prefix.Addr().Is4() {
			all = append(all, prefix)
		}
	}
	return all, nil
}

func ofContainer(result *current.Result, ip *current.IPConfig, ifName string) bool {
	if ip.Interface == nil || *ip.Interface < 0 || *ip.Interface >= len(result.Interfaces) {
		return true
	}
	i := result.Interfaces[*ip.Interface]
	return i.Name == ifName && i.Sandbox != ""
}

func prefixOf(n net.IPNet) (netip.Prefix, error) {
	addr, ok := netip.AddrFromSlice(n.IP)
	bits, size := n.Mask.Size()
	if !ok || size == 0 {
		return netip.Prefix{}, spec.Errorf(spec.InvalidConfig, "prevResult has the address %s, which is none", n.String())
	}
	addr = addr.Unmap()
	if size > addr.BitLen() {
		bits -= size - addr.BitLen() // the mask of an IPv4 address written as IPv6
	}
	return netip.PrefixFrom(addr, max(bits, 0)), nil
}

// RouteLocalnet lets packets from 127.0.0.1 leave by an interface, and answers
// to them come back. What else that would let in, filter.Hairpin's guard keeps out.
type RouteLocalnet struct {
	Interface string
}

// String is the equivalent command.
func (r RouteLocalnet) String() string { return "sysctl -w " + r.key() + "=1" }

// key is the sysctl's name. In a name with dots, such as eth0.100, sysctl takes
// slashes for them.
func (r RouteLocalnet) key() string { return "net/ipv4/conf/" + r.Interface + "/route_localnet" }
