// Package preview says what our CNI plugins would do, without doing it: for
// mascri plan and for a daemon that runs dry. The plans are netplug's and
// ipam's own; here they are only asked for in the way of a runtime that
// executes plugins. Read Run.
package preview

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/containernetworking/cni/pkg/types"
	current "github.com/containernetworking/cni/pkg/types/100"

	"github.com/mascri/mascri/ipam"
	"github.com/mascri/mascri/netplug"
	"github.com/mascri/mascri/spec"
)

// Run stands in for executing a plugin with the verb ADD; it is a
// podnet.Runner. What the plugin would do is reported as steps of the context's
// trace. Of a plugin that is not ours it can only say that it would run.
func Run(ctx context.Context, plugin string, stdin []byte, environ []string) ([]byte, error) {
	var stdout, stderr bytes.Buffer
	if planner(plugin).Run(ctx, environ, bytes.NewReader(stdin), &stdout, &stderr) == 0 {
		return stdout.Bytes(), nil
	}
	var object types.Error
	if err := json.Unmarshal(stdout.Bytes(), &object); err != nil {
		return nil, fmt.Errorf("plugin %s: %w", plugin, err)
	}
	return nil, &object
}

// planner is the plugin with an ADD that only plans.
func planner(name string) spec.Plugin {
	add := func(ctx context.Context, r *spec.Request) (*current.Result, error) { return passOn(ctx, name, r) }
	switch name {
	case "netplug", "bridge":
		add = addBridge
	case "ipam", "host-local":
		add = addAddresses
	}
	return spec.Plugin{Name: name, Add: add}
}

// addBridge asks netplug for its plan, with the addresses that ipam would give.
func addBridge(ctx context.Context, r *spec.Request) (*current.Result, error) {
	kind, err := netplug.IPAMType(r.Config)
	if err != nil {
		return nil, err
	}
	var addresses *current.Result
	if kind != "" {
		addresses, err = addressesOf(ctx, kind, r)
	}
	if err != nil {
		return nil, err
	}
	plan, err := netplug.Preview(r, addresses)
	if err != nil {
		return nil, err
	}
	for _, step := range plan.Steps() {
		spec.Report(ctx, spec.Step{Actor: "netplug", Command: step.String()})
	}
	return resultOf(r, addresses), nil
}

// addressesOf asks the IPAM plugin, if it is ours.
func addressesOf(ctx context.Context, kind string, r *spec.Request) (*current.Result, error) {
	if kind != "ipam" && kind != "host-local" {
		return nil, spec.Errorf(spec.UnsupportedField, "ipam.type %q: only the addresses of ipam and host-local can be previewed", kind)
	}
	return addAddresses(ctx, r)
}

func addAddresses(ctx context.Context, r *spec.Request) (*current.Result, error) {
	result, err := ipam.Preview(r.Config, r.Args)
	if err != nil {
		return nil, err
	}
	for _, ip := range result.IPs {
		spec.Report(ctx, spec.Step{Actor: "ipam", Command: "# would lease " + ip.Address.String()})
	}
	return result, nil
}

// resultOf is the plugin's result as far as a next plugin in the chain needs
// it: the pod's interface with its addresses.
func resultOf(r *spec.Request, addresses *current.Result) *current.Result {
	result := &current.Result{CNIVersion: current.ImplementedSpecVersion}
	if addresses != nil {
		*result = *addresses
	}
	result.Interfaces = []*current.Interface{{Name: r.IfName, Sandbox: r.Netns}}
	for _, ip := range result.IPs {
		ip.Interface = current.Int(0)
	}
	return result
}

// errNothingBefore: a plugin that only changes what another made was listed
// first.
var errNothingBefore = errors.New("is not ours and is first in its network: what it would do cannot be previewed")

// passOn stands for a plugin that is not ours: its result is that of the one
// before it.
func passOn(ctx context.Context, name string, r *spec.Request) (*current.Result, error) {
	if r.PrevResult == nil {
		return nil, fmt.Errorf("plugin %s %w", name, errNothingBefore)
	}
	spec.Report(ctx, spec.Step{Actor: name, Command: "# plugin " + name + " would run here; what it does cannot be previewed"})
	return r.PrevResult, nil
}
