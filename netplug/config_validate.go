package netplug

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/mascri/mascri/spec"
)

// minMTU and maxMTU are IPv4's bounds (RFC 791 and ETH_MAX_MTU of
// linux/if_ether.h); IPv6 needs more (RFC 8200 section 5).
const (
	minMTU     = 68
	minMTUIPv6 = 1280
	maxMTU     = 65535
)

// carries refuses an MTU that is too small for what the IPAM plugin gave: the
// kernel would only call the address an invalid argument.
func (cfg Config) carries(leases []Lease) error {
	for _, l := range leases {
		if cfg.MTU != 0 && cfg.MTU < minMTUIPv6 && l.Address.Addr().Is6() {
			return spec.Errorf(spec.InvalidConfig, "network %q: key mtu: %d is below %d, which IPv6 needs, and the pod is to have %s: raise it, or take the IPv6 range away", cfg.Network, cfg.MTU, minMTUIPv6, l.Address)
		}
	}
	return nil
}

func (raw rawConfig) validate() error {
	if raw.Bridge != "" {
		if err := spec.CheckIfName(raw.Bridge); err != nil {
			return fmt.Errorf("key bridge %w", err)
		}
	}
	if raw.MTU != 0 && (raw.MTU < minMTU || raw.MTU > maxMTU) {
		return fmt.Errorf("key mtu: %d is not between %d and %d", raw.MTU, minMTU, maxMTU)
	}
	if raw.HairpinMode && raw.PromiscMode {
		return fmt.Errorf("cannot set hairpin mode and promiscuous mode at the same time: remove hairpinMode or promiscMode")
	}
	if raw.DisableContainerInterface && raw.IPAM.Type != "" {
		return fmt.Errorf("cannot use IPAM when DisableContainerInterface flag is set: remove ipam or disableContainerInterface")
	}
	if b := raw.IPMasqBackend; b != nil && *b != "iptables" && *b != "nftables" {
		return fmt.Errorf("unknown ipmasq backend %q: iptables and nftables are known, and mean the same here", *b)
	}
	if raw.IPAM.Type != "" {
		if err := spec.CheckName(raw.IPAM.Type); err != nil {
			return fmt.Errorf("key ipam.type %w", err)
		}
	}
	return nil
}

// vlanRange is one element of vlanTrunk: an id, both ends of a range, or all.
type vlanRange struct {
	MinID *int `json:"minID"`
	MaxID *int `json:"maxID"`
	ID    *int `json:"id"`
}

// maxVLAN is the last VLAN ID that is not reserved (IEEE 802.1Q).
const maxVLAN = 4094

func (raw rawConfig) vlans() (VLANs, error) {
	if raw.VLAN < 0 || raw.VLAN > maxVLAN {
		return VLANs{}, fmt.Errorf("invalid VLAN ID %d (must be between 0 and %d)", raw.VLAN, maxVLAN)
	}
	var ids []int
	for _, r := range raw.VLANTrunk {
		expanded, err := r.expand()
		if err != nil {
			return VLANs{}, err
		}
		ids = append(ids, expanded...)
	}
	slices.Sort(ids)
	return VLANs{Access: raw.VLAN, Trunk: compact(slices.Compact(ids)), PreserveDefault: raw.PreserveDefaultVLAN}, nil
}

// expand lists the IDs of a range and of the single ID, where there are any.
func (r vlanRange) expand() ([]int, error) {
	if (r.MinID == nil) != (r.MaxID == nil) {
		missing := "minID"
		if r.MaxID == nil {
			missing = "maxID"
		}
		return nil, fmt.Errorf("minID and maxID should be configured simultaneously, %s is missing", missing)
	}
	for name, id := range map[string]*int{"minID": r.MinID, "maxID": r.MaxID, "id": r.ID} {
		if id != nil && (*id < 1 || *id > maxVLAN) {
			return nil, fmt.Errorf("incorrect trunk %s parameter: %d is not between 1 and %d", name, *id, maxVLAN)
		}
	}
	var ids []int
	if r.MinID != nil {
		if *r.MinID > *r.MaxID {
			return nil, fmt.Errorf("minID is greater than maxID in trunk parameter: %d > %d", *r.MinID, *r.MaxID)
		}
		for id := *r.MinID; id <= *r.MaxID; id++ {
			ids = append(ids, id)
		}
	}
	if r.ID != nil {
		ids = append(ids, *r.ID)
	}
	return ids, nil
}

// compact writes sorted IDs as ranges, "10,20-22", the way `bridge vlan` does.
func compact(ids []int) string {
	var parts []string
	for i := 0; i < len(ids); {
		j := i
		for j+1 < len(ids) && ids[j+1] == ids[j]+1 {
			j++
		}
		part := strconv.Itoa(ids[i])
		if j > i {
			part += "-" + strconv.Itoa(ids[j])
		}
		parts = append(parts, part)
		i = j + 1
	}
	return strings.Join(parts, ",")
}
