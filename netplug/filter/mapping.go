package filter

import (
	"fmt"
	"net/netip"
)

// Mapping is one host port that leads to a container (CNI conventions,
// capability portMappings).
type Mapping struct {
	HostIP        netip.Addr // zero: every address of the host; 0.0.0.0 and ::, every one of that family
	HostPort      uint16
	ContainerPort uint16
	Protocol      Protocol
}

// RawMapping is a Mapping as it is written, with the conventions' field names.
type RawMapping struct {
	HostPort      int    `json:"hostPort"`
	ContainerPort int    `json:"containerPort"`
	Protocol      string `json:"protocol"` // tcp where it is empty, as Kubernetes and Docker take it
	HostIP        string `json:"hostIP"`
}

// ParseMappings validates mappings. Its errors have the words of the reference
// plugin, and name the host port.
func ParseMappings(raw []RawMapping) ([]Mapping, error) {
	var all []Mapping
	for _, r := range raw {
		m, err := r.mapping()
		if err != nil {
			return nil, err
		}
		for _, other := range all {
			if m.HostPort == other.HostPort && m.ContainerPort != other.ContainerPort && m.meets(other) {
				return nil, fmt.Errorf("host port %s/%d is to lead to container ports %d and %d: ask for it once", m.Protocol, m.HostPort, other.ContainerPort, m.ContainerPort)
			}
		}
		all = append(all, m)
	}
	return all, nil
}

// meets tells whether two mappings of a port stand in each other's place: bound
// to one address, or at every address of a family. Bound goes before every.
func (m Mapping) meets(other Mapping) bool {
	if m.Protocol != other.Protocol || m.bound() != other.bound() {
		return false
	}
	return m.HostIP == other.HostIP || !m.bound() && !(m.HostIP.IsValid() && other.HostIP.IsValid())
}

// bound tells whether the mapping is for one address of the host.
func (m Mapping) bound() bool { return m.HostIP.IsValid() && !m.HostIP.IsUnspecified() }

func (r RawMapping) mapping() (m Mapping, err error) {
	if r.ContainerPort < 1 || r.ContainerPort > 65535 {
		//lint:ignore ST1005 the reference's text, which users search for
		return m, fmt.Errorf("Invalid container port number: %d", r.ContainerPort)
	}
	if r.HostPort < 1 || r.HostPort > 65535 {
		//lint:ignore ST1005 the reference's text, which users search for
		return m, fmt.Errorf("Invalid host port number: %d", r.HostPort)
	}
	if r.Protocol == "" {
		r.Protocol = TCP.String()
	}
	if m.Protocol, err = ParseProtocol(r.Protocol); err != nil {
		return m, fmt.Errorf("host port %d: %w", r.HostPort, err)
	}
	if r.HostIP != "" {
		ip, err := netip.ParseAddr(r.HostIP)
		if err != nil || ip.Zone() != "" {
			return m, fmt.Errorf("host port %d: hostIP %q is not an IP address", r.HostPort, r.HostIP)
		}
		m.HostIP = ip.Unmap()
	}
	m.HostPort, m.ContainerPort = uint16(r.HostPort), uint16(r.ContainerPort)
	return m, nil
}
