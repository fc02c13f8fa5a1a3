package podnet

import (
	"fmt"
	"net/netip"

	"github.com/containernetworking/cni/pkg/types"
	current "github.com/containernetworking/cni/pkg/types/100"
)

// Result is what a network gave a pod.
type Result struct {
	Network   string         `json:"network"`
	Addresses []netip.Prefix `json:"addresses"` // of the pod's interface, in the plugins' order
	DNS       DNS            `json:"dns"`       // what the network recommends
}

// resultFrom reads an ADD's result of any version of the specification.
func resultFrom(network string, answer types.Result) (Result, error) {
	full, err := current.NewResultFromResult(answer)
	if err != nil {
		return Result{}, fmt.Errorf("result of network %s: %w", network, err)
	}
	result := Result{
		Network: network,
		DNS:     DNS{Servers: full.DNS.Nameservers, Searches: full.DNS.Search, Options: full.DNS.Options},
	}
	if full.DNS.Domain != "" {
		// resolv.conf(5): domain is the older form of a search list of one.
		result.DNS.Searches = append([]string{full.DNS.Domain}, result.DNS.Searches...)
	}
	for i, ip := range full.IPs {
		if !ofPod(full, ip) {
			continue
		}
		addr, ok := netip.AddrFromSlice(ip.Address.IP)
		ones, bits := ip.Address.Mask.Size()
		if !ok || bits == 0 {
			return Result{}, fmt.Errorf("result of network %s: ips[%d]: %s is no address", network, i, ip.Address.String())
		}
		result.Addresses = append(result.Addresses, netip.PrefixFrom(addr.Unmap(), ones))
	}
	return result, nil
}

// ofPod tells whether an address belongs to the pod's interface: to that name
// inside a namespace, or to no interface in particular.
func ofPod(result *current.Result, ip *current.IPConfig) bool {
	if ip.Interface == nil {
		return true
	}
	i := *ip.Interface
	if i < 0 || i >= len(result.Interfaces) {
		return false
	}
	return result.Interfaces[i].Sandbox != "" && result.Interfaces[i].Name == IfName
}
