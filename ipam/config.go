package ipam

import (
	"encoding/json"
	"net/netip"
	"path/filepath"
	"strings"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/cni/pkg/version"

	"github.com/mascri/mascri/spec"
)

// defaultDataDir is host-local's, so that a node can change plugins in flight.
const defaultDataDir = "/var/lib/cni/networks"

// Config is a network configuration after everything in it was checked and
// defaulted: no code past ParseConfig validates again.
type Config struct {
	Network    string // its name, a safe file name
	DataDir    string // holds a directory a network
	ResolvConf string // a file in the form of resolv.conf(5); empty = no DNS in the result
	Routes     []*types.Route
	Sets       []RangeSet // one address is leased from each, in this order
	Requests   []Request  // addresses asked for by name, the strongest source first
}

// A Request is an address that the caller wants rather than the next free one.
type Request struct {
	Addr   netip.Addr
	Source string // where it stands: runtimeConfig.ips, args.cni.ips or CNI_ARGS
}

// rawNetwork is what is read of the configuration; other keys are other
// plugins'. The key names and their meaning are host-local's.
type rawNetwork struct {
	CNIVersion string   `json:"cniVersion"`
	Name       string   `json:"name"`
	IPAM       *rawIPAM `json:"ipam"`
	// From the runtime, by the capabilities ipRanges and ips.
	RuntimeConfig struct {
		IPRanges [][]rawRange `json:"ipRanges"`
		IPs      []string     `json:"ips"`
	} `json:"runtimeConfig"`
	Args struct {
		CNI struct {
			IPs []string `json:"ips"`
		} `json:"cni"`
	} `json:"args"`
}

type rawIPAM struct {
	rawRange                  // the old way to write one range
	Ranges     [][]rawRange   `json:"ranges"`
	Routes     []*types.Route `json:"routes"`
	DataDir    string         `json:"dataDir"`
	ResolvConf string         `json:"resolvConf"`
}

// ParseConfig reads a network configuration and the CNI_ARGS that came with
// it. Errors have code 7 (InvalidConfig) and name the key and the value, or
// code 4 (InvalidEnv) where CNI_ARGS is at fault.
func ParseConfig(config []byte, args spec.Args) (Config, error) {
	raw, err := decode(config)
	if err != nil {
		return Config{}, err
	}
	c := Config{Network: raw.Name, DataDir: dataDir(raw.IPAM.DataDir), ResolvConf: raw.IPAM.ResolvConf, Routes: raw.IPAM.Routes}
	if err := checkDataDir(c.DataDir); err != nil {
		return Config{}, err
	}
	for i, route := range c.Routes {
		if route == nil {
			return Config{}, spec.Errorf(spec.InvalidConfig, "ipam.routes[%d] is null: give a destination as {\"dst\": \"0.0.0.0/0\"}", i)
		}
	}
	if c.Sets, err = parseSets(raw); err != nil {
		return Config{}, err
	}
	if err := checkFamilies(raw.CNIVersion, c.Sets); err != nil {
		return Config{}, err
	}
	if c.Requests, err = parseRequests(raw, args); err != nil {
		return Config{}, err
	}
	return c, nil
}

func decode(config []byte) (rawNetwork, error) {
	var raw rawNetwork
	if err := json.Unmarshal(config, &raw); err != nil {
		return raw, spec.Errorf(spec.InvalidConfig, "network configuration: %w", err)
	}
	if err := spec.CheckName(raw.Name); err != nil {
		return raw, spec.Errorf(spec.InvalidConfig, "invalid network name: key name %w", err)
	}
	if raw.IPAM == nil {
		return raw, spec.Errorf(spec.InvalidConfig, "IPAM config missing 'ipam' key")
	}
	return raw, nil
}

func dataDir(configured string) string {
	if configured == "" {
		return defaultDataDir
	}
	return filepath.Clean(configured)
}

// checkDataDir refuses a relative directory: it would be another one for each
// working directory that a runtime may have, and so would the leases in it.
func checkDataDir(dir string) error {
	if !filepath.IsAbs(dir) {
		return spec.Errorf(spec.InvalidConfig, "ipam.dataDir %q is relative: give an absolute path, such as %s", dir, defaultDataDir)
	}
	return nil
}

// noRanges is its own value because STATUS lives with it: the runtime may give
// ranges with ADD only.
var noRanges = spec.Errorf(spec.InvalidConfig, "no IP ranges specified: give ipam.ranges, ipam.subnet or the capability ipRanges")

// parseSets puts the ranges in host-local's order, on which the numbers of
// last_reserved_ip.N depend: the runtime's, the one of old style, the list.
func parseSets(raw rawNetwork) ([]RangeSet, error) {
	lists := raw.RuntimeConfig.IPRanges
	if raw.IPAM.Subnet != "" {
		lists = append(lists, []rawRange{raw.IPAM.rawRange})
	}
	lists = append(lists, raw.IPAM.Ranges...)
	if len(lists) == 0 {
		return nil, noRanges
	}
	var sets []RangeSet
	for i, list := range lists {
		set, err := parseRangeSet(list)
		if err != nil {
			return nil, spec.Errorf(spec.InvalidConfig, "invalid range set %d: %w", i, err)
		}
		for j, before := range sets {
			if before.overlaps(set) {
				return nil, spec.Errorf(spec.InvalidConfig, "range set %d overlaps with %d: %s and %s", j, i, before, set)
			}
		}
		sets = append(sets, set)
	}
	return sets, nil
}

// checkFamilies: results before 0.3.0 have room for one address a family.
func checkFamilies(cniVersion string, sets []RangeSet) error {
	v4 := 0
	for _, set := range sets {
		if set[0].First.Is4() {
			v4++
		}
	}
	if v4 <= 1 && len(sets)-v4 <= 1 {
		return nil
	}
	if many, err := version.GreaterThanOrEqualTo(cniVersion, "0.3.0"); err == nil && many {
		return nil
	}
	return spec.Errorf(spec.InvalidConfig, "CNI version %s does not support more than 1 address per family", cniVersion)
}

// parseRequests collects the addresses asked for, the strongest source first.
// CNI's CONVENTIONS.md lets args.cni.ips win over CNI_ARGS; the static plugin
// puts runtimeConfig before both.
func parseRequests(raw rawNetwork, args spec.Args) ([]Request, error) {
	var requests []Request
	for _, source := range []struct {
		name string
		ips  []string
	}{{"runtimeConfig.ips", raw.RuntimeConfig.IPs}, {"args.cni.ips", raw.Args.CNI.IPs}} {
		for _, text := range source.ips {
			addr, err := parseRequested(text)
			if err != nil {
				return nil, spec.Errorf(spec.InvalidConfig, "%s: cannot understand ip: %w", source.name, err)
			}
			requests = append(requests, Request{addr, source.name})
		}
	}
	if err := checkArgs(args); err != nil {
		return nil, err
	}
	if text, ok := args.Get("IP"); ok && text != "" {
		addr, err := parseRequested(text)
		if err != nil {
			return nil, spec.Errorf(spec.InvalidEnv, "CNI_ARGS: IP: cannot understand ip: %w", err)
		}
		requests = append(requests, Request{addr, "CNI_ARGS"})
	}
	return requests, nil
}

// parseRequested reads an address whose prefix length, if any, says nothing:
// the length leased is the range's.
func parseRequested(text string) (netip.Addr, error) {
	if prefix, err := netip.ParsePrefix(text); err == nil {
		return prefix.Addr().Unmap(), nil
	}
	return parseAddr(text)
}

// checkArgs refuses what nobody documents, unless the caller says to ignore
// it. MAC is the bridge's and K8S_* the kubelet's; host-local refuses those
// too, and so breaks every bridge with a MAC.
func checkArgs(args spec.Args) error {
	if args.IgnoreUnknown() {
		return nil
	}
	var unknown []string
	for _, arg := range args {
		switch {
		case arg.Key == "IP", arg.Key == "MAC", arg.Key == "IgnoreUnknown", strings.HasPrefix(arg.Key, "K8S_"):
		default:
			unknown = append(unknown, arg.Key+"="+arg.Value)
		}
	}
	if len(unknown) > 0 {
		return spec.Errorf(spec.InvalidEnv, "CNI_ARGS: unknown args %q: remove them, or add IgnoreUnknown=1", unknown)
	}
	return nil
}

// withoutRanges is a configuration whose ranges come with ADD only.
func withoutRanges(r *spec.Request) (Config, error) {
	dir, err := parseRelease(r.Config)
	if err != nil {
		return Config{}, err
	}
	return Config{Network: r.Name, DataDir: dir}, nil
}

// parseRelease reads what giving addresses back needs, the directory, and
// forgives everything else: a lease must not stay because a range was since
// edited into nonsense. A relative directory is that of the working directory,
// where host-local may have leases of this network. The one fault it reports, as host-local does, is that
// of checkFamilies: nothing can have been leased under such a configuration.
func parseRelease(config []byte) (string, error) {
	if raw, err := decode(config); err == nil {
		if sets, err := parseSets(raw); err == nil {
			return dataDir(raw.IPAM.DataDir), checkFamilies(raw.CNIVersion, sets)
		}
	}
	var raw struct {
		IPAM json.RawMessage `json:"ipam"`
	}
	var ipam struct {
		DataDir string `json:"dataDir"`
	}
	if json.Unmarshal(config, &raw) != nil || json.Unmarshal(raw.IPAM, &ipam) != nil {
		return defaultDataDir, nil // no ADD can have named another directory
	}
	return dataDir(ipam.DataDir), nil
}
