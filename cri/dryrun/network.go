package dryrun

import (
	"context"
	"fmt"
	"net/netip"
	"path"
	"sync"

	"github.com/mascri/mascri/cri/podnet"
	"github.com/mascri/mascri/spec"
)

// Network is a pod network on which pods are only written down. What a plugin
// would do is the runner's to say.
type Network struct {
	confDir, template string
	runDir            string
	run               podnet.Runner

	mu       sync.Mutex
	podCIDRs []netip.Prefix
	results  map[string]podnet.Result // by sandbox ID
}

// NewNetwork returns a network that reads its configuration where a
// podnet.Manager would, and asks run in place of each plugin.
func NewNetwork(confDir, template, runDir string, run podnet.Runner) *Network {
	return &Network{confDir: confDir, template: template, runDir: runDir, run: run, results: map[string]podnet.Result{}}
}

// Prepare chooses the network, as podnet.Manager.Prepare does.
func (n *Network) Prepare(_ context.Context, pod podnet.Pod) (podnet.Attachment, error) {
	network, _, err := podnet.Choose(n.confDir, n.template, podnet.TemplateData{PodCIDRs: n.cidrs()})
	if err != nil {
		return podnet.Attachment{}, err
	}
	return podnet.Attach(network, pod, n.cidrs())
}

// SetUpPod reports what podnet.Manager.SetUpPod would do.
func (n *Network) SetUpPod(ctx context.Context, id, _ string, a podnet.Attachment) (podnet.Result, error) {
	pin := path.Join(n.runDir, "netns", id)
	report(ctx, fmt.Sprintf("touch %s; mount --bind $(docker inspect -f '{{.NetworkSettings.SandboxKey}}' %s) %s", pin, id, pin))
	result, err := podnet.Preview(ctx, id, pin, a, n.run)
	if err != nil {
		return podnet.Result{}, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.results[id] = result
	return result, nil
}

// Restore has nothing to do.
func (n *Network) Restore(context.Context, string, string) error { return nil }

// TearDownPod reports what podnet.Manager.TearDownPod would do.
func (n *Network) TearDownPod(ctx context.Context, id string, _ *podnet.Attachment) error {
	n.mu.Lock()
	result, ok := n.results[id]
	delete(n.results, id)
	n.mu.Unlock()
	if !ok {
		return nil
	}
	pin := path.Join(n.runDir, "netns", id)
	report(ctx, fmt.Sprintf("CNI_COMMAND=DEL CNI_CONTAINERID=%s CNI_IFNAME=%s CNI_NETNS=%s # for each plugin of network %s, the last one first",
		id, podnet.IfName, pin, result.Network))
	report(ctx, fmt.Sprintf("umount %s; rm %s", pin, pin))
	return nil
}

// Owe has nothing to do.
func (n *Network) Owe(string, *podnet.Attachment) error { return nil }

// Settle has nothing to do.
func (n *Network) Settle(context.Context) error { return nil }

func report(ctx context.Context, command string) {
	spec.Report(ctx, spec.Step{Actor: "podnet", Command: command})
}

// Result is what SetUpPod made up.
func (n *Network) Result(_ context.Context, id string) (podnet.Result, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	result, ok := n.results[id]
	if !ok {
		return podnet.Result{}, podnet.ErrNotAttached
	}
	return result, nil
}

// Status tells whether there is a valid configuration.
func (n *Network) Status(context.Context) error {
	_, _, err := podnet.Choose(n.confDir, n.template, podnet.TemplateData{PodCIDRs: n.cidrs()})
	return err
}

// Describe names the network.
func (n *Network) Describe(context.Context) podnet.Report {
	network, _, err := podnet.Choose(n.confDir, n.template, podnet.TemplateData{PodCIDRs: n.cidrs()})
	if err != nil {
		return podnet.Report{Error: err.Error()}
	}
	return podnet.Report{Network: network.Name, Source: network.Source, Plugins: network.Plugins()}
}

func (n *Network) cidrs() []netip.Prefix {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.podCIDRs
}

// SetPodCIDRs keeps the pod CIDRs as long as the process lives.
func (n *Network) SetPodCIDRs(podCIDRs []netip.Prefix) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.podCIDRs = podCIDRs
	return nil
}

// GC has nothing to do.
func (n *Network) GC(context.Context, []string) error { return nil }
