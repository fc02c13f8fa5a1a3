package spec

import (
	"encoding/json"
	"io"
	"slices"

	current "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/cni/pkg/types/create"
)

// readResult reads a Success that another plugin printed.
func readResult(version string, raw []byte) (*current.Result, error) {
	if err := refuseNulls(raw); err != nil {
		return nil, err
	}
	result, err := create.Create(version, raw)
	if err != nil {
		return nil, err
	}
	return current.NewResultFromResult(result)
}

// refuseNulls finds a null in a result's lists: the library's types have a
// pointer there, which their conversions and every reader follow.
func refuseNulls(raw []byte) error {
	type list []*json.RawMessage
	var result struct {
		Interfaces list `json:"interfaces"`
		IPs        list `json:"ips"`
		Routes     list `json:"routes"`
		IP4        struct {
			Routes list `json:"routes"`
		} `json:"ip4"` // this and the next until 0.2.0
		IP6 struct {
			Routes list `json:"routes"`
		} `json:"ip6"`
	}
	if json.Unmarshal(raw, &result) != nil {
		return nil // whoever reads it for good says what is wrong
	}
	for key, l := range map[string]list{
		"interfaces": result.Interfaces, "ips": result.IPs, "routes": result.Routes, "ip4.routes": result.IP4.Routes, "ip6.routes": result.IP6.Routes,
	} {
		if i := slices.Index(l, nil); i >= 0 {
			return Errorf(Decode, "%s[%d] is null", key, i)
		}
	}
	return nil
}

// printResult prints a Success (section 5) in the version that the config
// asked for.
func printResult(w io.Writer, version string, result *current.Result) error {
	if result.CNIVersion == "" {
		result.CNIVersion = current.ImplementedSpecVersion
	}
	converted, err := result.GetAsVersion(version)
	if err != nil {
		return Errorf(IncompatibleVersion, "express the result in cniVersion %s: %w", version, err)
	}
	if err := converted.PrintTo(w); err != nil {
		return Errorf(IO, "print the result: %w", err)
	}
	return nil
}
