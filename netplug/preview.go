package netplug

import (
	current "github.com/containernetworking/cni/pkg/types/100"

	"github.com/mascri/mascri/spec"
)

// Preview says what an ADD of the request would do if the IPAM plugin answered
// as given, nil for a layer 2 network. It touches nothing, so it works without
// root and on a machine without Linux.
func Preview(r *spec.Request, ipam *current.Result) (Plan, error) {
	cfg, err := parse(r)
	if err != nil {
		return Plan{}, err
	}
	if cfg.SpoofCheck && cfg.MAC == nil {
		cfg.MAC = previewMAC
	}
	if ipam == nil {
		ipam = &current.Result{}
	}
	leases, routes, err := addresses(ipam)
	if err != nil {
		return Plan{}, err
	}
	return PlanBridge(cfg, leases, routes), nil
}

// previewMAC stands for the random one that an ADD would choose.
var previewMAC = []byte{0x02, 0, 0, 0, 0, 0x01}

// IPAMType is the plugin that a configuration asks for addresses; "" for none.
func IPAMType(config []byte) (string, error) {
	cfg, err := parseLenient(&spec.Request{Config: config})
	return cfg.IPAM, err
}
