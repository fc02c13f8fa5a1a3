package netplug

import (
	"encoding/json"
	"fmt"
	"net"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/mascri/mascri/netplug/filter"
	"github.com/mascri/mascri/spec"
)

// Config is a validated configuration with its defaults filled in. Every verb
// gets the same one, so what ADD defaults CHECK and DEL know.
type Config struct {
	Network    string // the configuration's name
	Attachment spec.Attachment
	Netns      string // CNI_NETNS; empty for DEL without one, GC and STATUS
	HostEnd    string // the host's end of the veth pair, where CHECK found another than names.go's

	Bridge         string // the bridge, "cni0" unless given
	MTU            int    // bytes; 0 leaves the kernel's default
	Promisc        bool   // the bridge takes every frame
	IsGateway      bool   // the bridge has the pods' gateway address
	DefaultGateway bool   // pods get a default route to it; implies IsGateway
	ForceAddress   bool   // another gateway address on the bridge is replaced
	Masquerade     bool   // ipMasq: traffic that leaves the pods' network takes the node's address

	Hairpin    bool // the bridge may send a frame back out of the port it came from
	Isolated   bool // portIsolation: no traffic to other isolated ports
	SpoofCheck bool // macspoofchk: frames with a foreign source MAC are dropped
	VLANs      VLANs

	DAD          bool             // enabledad: addresses are announced and probed before use
	LeavePodDown bool             // disableContainerInterface: the container's end stays down
	MAC          net.HardwareAddr // of the container's end; nil lets the kernel choose

	IPAM  string // the plugin to ask for addresses; "" for a layer 2 network
	DNS   types.DNS
	Ports []filter.Mapping
}

// VLANs of a bridge port.
type VLANs struct {
	Access          int    // the untagged VLAN, 1-4094; 0 for none
	Trunk           string // the tagged VLANs, sorted: "10,20-22"; "" for none
	PreserveDefault bool   // keep the VLAN 1 that the kernel gives each port
}

// enabled reports whether the port needs a bridge that filters VLANs.
func (v VLANs) enabled() bool { return v.Access != 0 || v.Trunk != "" }

// hostEnd is the host's end of the attachment's veth pair.
func (cfg Config) hostEnd() string {
	if cfg.HostEnd != "" {
		return cfg.HostEnd
	}
	return hostEnd(cfg.Network, cfg.Attachment)
}

// gatewayLink is the link that has the pods' gateway address: the bridge, or,
// as a bridge is in no VLAN of its own, its leg in the pods' VLAN.
func (cfg Config) gatewayLink() string {
	if !cfg.IsGateway || cfg.VLANs.Access == 0 {
		return cfg.Bridge
	}
	return fmt.Sprintf("%s.%d", cfg.Bridge, cfg.VLANs.Access)
}

// rawConfig is the configuration as it is written. The keys and their meaning
// are the reference bridge plugin's
// (https://www.cni.dev/plugins/current/main/bridge/); unknown keys are ignored,
// as they are there.
type rawConfig struct {
	Bridge                    string      `json:"bridge"`
	IsGateway                 bool        `json:"isGateway"`
	IsDefaultGateway          bool        `json:"isDefaultGateway"`
	ForceAddress              bool        `json:"forceAddress"`
	IPMasq                    bool        `json:"ipMasq"`
	IPMasqBackend             *string     `json:"ipMasqBackend"`
	MTU                       int         `json:"mtu"`
	HairpinMode               bool        `json:"hairpinMode"`
	PromiscMode               bool        `json:"promiscMode"`
	VLAN                      int         `json:"vlan"`
	VLANTrunk                 []vlanRange `json:"vlanTrunk"`
	PreserveDefaultVLAN       bool        `json:"preserveDefaultVlan"`
	MacSpoofChk               bool        `json:"macspoofchk"`
	EnableDAD                 bool        `json:"enabledad"`
	DisableContainerInterface bool        `json:"disableContainerInterface"`
	PortIsolation             bool        `json:"portIsolation"`

	IPAM struct {
		Type string `json:"type"`
	} `json:"ipam"`
	DNS  types.DNS `json:"dns"`
	Args struct {
		CNI struct {
			MAC string `json:"mac"`
		} `json:"cni"`
	} `json:"args"`
	RuntimeConfig struct {
		MAC          string              `json:"mac"`
		PortMappings []filter.RawMapping `json:"portMappings"`
	} `json:"runtimeConfig"`
}

// parse makes a Config of a request.
func parse(r *spec.Request) (Config, error) {
	var raw rawConfig
	if err := json.Unmarshal(r.Config, &raw); err != nil {
		return Config{}, spec.Errorf(spec.Decode, "failed to load netconf: %w", err)
	}
	cfg, err := raw.config()
	if err != nil {
		return Config{}, spec.Errorf(spec.InvalidConfig, "network %q: %w", r.Name, err)
	}
	cfg.Network, cfg.Attachment, cfg.Netns = r.Name, r.Attachment(), r.Netns
	if cfg.MAC, err = chooseMAC(raw, r.Args); err != nil {
		return Config{}, err
	}
	return cfg, checkArgs(r.Args)
}

// parseLenient makes of a request what DEL and GC need: names, the IPAM plugin
// and nothing that could be wrong today and was right at ADD.
func parseLenient(r *spec.Request) (Config, error) {
	var raw struct {
		IPAM struct {
			Type string `json:"type"`
		} `json:"ipam"`
	}
	if err := json.Unmarshal(r.Config, &raw); err != nil {
		return Config{}, spec.Errorf(spec.Decode, "failed to load netconf: %w", err)
	}
	return Config{Network: r.Name, Attachment: r.Attachment(), Netns: r.Netns, IPAM: raw.IPAM.Type}, nil
}

// config validates the raw configuration and fills in its defaults.
func (raw rawConfig) config() (Config, error) {
	if err := raw.validate(); err != nil {
		return Config{}, err
	}
	vlans, err := raw.vlans()
	if err != nil {
		return Config{}, err
	}
	ports, err := filter.ParseMappings(raw.RuntimeConfig.PortMappings)
	if err != nil {
		return Config{}, err
	}
	cfg := Config{
		Bridge: raw.Bridge, MTU: raw.MTU, Promisc: raw.PromiscMode,
		IsGateway:      raw.IsGateway || raw.IsDefaultGateway,
		DefaultGateway: raw.IsDefaultGateway,
		ForceAddress:   raw.ForceAddress,
		Masquerade:     raw.IPMasq,
		Hairpin:        raw.HairpinMode, Isolated: raw.PortIsolation, SpoofCheck: raw.MacSpoofChk,
		VLANs: vlans,
		DAD:   raw.EnableDAD, LeavePodDown: raw.DisableContainerInterface,
		IPAM: raw.IPAM.Type, DNS: raw.DNS, Ports: ports,
	}
	if cfg.Bridge == "" {
		cfg.Bridge = "cni0"
	}
	if err := spec.CheckIfName(cfg.gatewayLink()); err != nil {
		return Config{}, fmt.Errorf("the gateway's interface in VLAN %d: its name %w; give the bridge a shorter one", cfg.VLANs.Access, err)
	}
	return cfg, nil
}

// knownArgs are the CNI_ARGS keys that somebody on the way of an ADD reads, or
// that every Kubernetes runtime sends.
var knownArgs = map[string]bool{
	"IgnoreUnknown": true, "MAC": true, "IP": true, "GATEWAY": true,
	"K8S_POD_NAMESPACE": true, "K8S_POD_NAME": true, "K8S_POD_UID": true, "K8S_POD_INFRA_CONTAINER_ID": true,
}

func checkArgs(args spec.Args) error {
	if args.IgnoreUnknown() {
		return nil
	}
	for _, arg := range args {
		if !knownArgs[arg.Key] {
			return spec.Errorf(spec.InvalidEnv, "ARGS: unknown args [%q]: remove it from CNI_ARGS, or add IgnoreUnknown=1", arg.Key+"="+arg.Value)
		}
	}
	return nil
}

// chooseMAC takes the container's MAC from where CONVENTIONS.md says it may
// come, the newest convention first.
func chooseMAC(raw rawConfig, args spec.Args) (net.HardwareAddr, error) {
	text := raw.RuntimeConfig.MAC
	if text == "" {
		text = raw.Args.CNI.MAC
	}
	if text == "" {
		text, _ = args.Get("MAC")
	}
	if text == "" {
		return nil, nil
	}
	mac, err := net.ParseMAC(text)
	if err != nil || len(mac) != 6 || mac[0]&1 != 0 {
		return nil, spec.Errorf(spec.InvalidConfig, "failed to make veth pair: mac %q is not the 6 byte address of one interface", text)
	}
	return mac, nil
}
