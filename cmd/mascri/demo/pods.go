package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mascri/mascri/cmd/mascri/ping"
	"github.com/mascri/mascri/spec"
)

// A pod is one that the demonstration made.
type pod struct {
	name    string
	id      string
	address netip.Addr
}

// netns is where the daemon keeps the pod's network namespace.
func (p *pod) netns() string { return filepath.Join(netnsDir, p.id) }

// podConfigs are what a kubelet would send. The second one has a host port, so
// that the packet filter is used as well.
func podConfigs() []*runtimeapi.PodSandboxConfig {
	config := func(name string, ports ...*runtimeapi.PortMapping) *runtimeapi.PodSandboxConfig {
		return &runtimeapi.PodSandboxConfig{
			Metadata:     &runtimeapi.PodSandboxMetadata{Name: name, Namespace: "demo", Uid: "demo-" + name},
			Hostname:     name,
			DnsConfig:    &runtimeapi.DNSConfig{Servers: []string{"192.0.2.53"}},
			PortMappings: ports,
			Linux:        &runtimeapi.LinuxPodSandboxConfig{},
		}
	}
	web := &runtimeapi.PortMapping{Protocol: runtimeapi.Protocol_TCP, ContainerPort: 80, HostPort: 38080}
	return []*runtimeapi.PodSandboxConfig{config("a"), config("b", web)}
}

// create asks for a pod and shows how it came about.
func (d *demonstration) create(ctx context.Context, config *runtimeapi.PodSandboxConfig) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	p := &pod{name: config.GetMetadata().GetName()}
	d.heading("pod %s: RunPodSandbox", p.name)
	start := time.Now()
	made, err := d.client.RunPodSandbox(ctx, &runtimeapi.RunPodSandboxRequest{Config: config})
	if err != nil {
		return fmt.Errorf("create pod %s: %w", p.name, err)
	}
	took := time.Since(start)
	p.id = made.GetPodSandboxId()
	d.pods = append(d.pods, p)
	status, err := d.client.PodSandboxStatus(ctx, &runtimeapi.PodSandboxStatusRequest{PodSandboxId: p.id, Verbose: true})
	if err != nil {
		return fmt.Errorf("ask for the status of pod %s: %w", p.name, err)
	}
	if p.address, err = netip.ParseAddr(status.GetStatus().GetNetwork().GetIp()); err != nil {
		return fmt.Errorf("the address of pod %s: %w", p.name, err)
	}
	var steps []spec.Step
	if err := json.Unmarshal([]byte(status.GetInfo()["trace"]), &steps); err != nil {
		return fmt.Errorf("the trace of pod %s: %w", p.name, err)
	}
	printTrace(d.Out, steps)
	d.say("pod %s is %s, %s after the call", p.name, p.address, milliseconds(took))
	return nil
}

// pingAll sends an echo request along every path that a pod network promises.
func (d *demonstration) pingAll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	a, b := d.pods[0], d.pods[1]
	d.heading("ping")
	for _, path := range []struct {
		from, netns string
		to          *pod
	}{
		{"pod a", a.netns(), b},
		{"the host", "", a},
		{"the host", "", b},
	} {
		took, err := ping.From(ctx, path.netns, path.to.address)
		if err != nil {
			return fmt.Errorf("from %s to pod %s: %w", path.from, path.to.name, err)
		}
		d.say("%-8s → pod %s  %-10s  answered in %s", path.from, path.to.name, path.to.address, milliseconds(took))
	}
	return nil
}

// removeAll stops and removes the pods.
func (d *demonstration) removeAll(ctx context.Context) error {
	d.heading("StopPodSandbox, RemovePodSandbox")
	for _, p := range d.pods {
		start := time.Now()
		if err := d.remove(ctx, p); err != nil {
			return err
		}
		d.say("pod %s is gone after %s", p.name, milliseconds(time.Since(start)))
	}
	return nil
}

func (d *demonstration) remove(ctx context.Context, p *pod) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err := d.client.StopPodSandbox(ctx, &runtimeapi.StopPodSandboxRequest{PodSandboxId: p.id})
	if err == nil {
		_, err = d.client.RemovePodSandbox(ctx, &runtimeapi.RemovePodSandboxRequest{PodSandboxId: p.id})
	}
	if err != nil {
		return fmt.Errorf("remove pod %s: %w", p.name, err)
	}
	return nil
}

// abandon removes what pods are left when the demonstration ends early; those
// that are gone already are no error to the daemon.
func (d *demonstration) abandon(ctx context.Context) {
	ctx = context.WithoutCancel(ctx)
	var failures []error
	for _, p := range d.pods {
		failures = append(failures, d.remove(ctx, p))
	}
	if err := errors.Join(failures...); err != nil {
		d.say("%v", err)
	}
}
