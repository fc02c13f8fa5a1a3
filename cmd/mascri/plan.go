package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/mascri/mascri/cmd/mascri/preview"
	"github.com/mascri/mascri/cri/podnet"
	"github.com/mascri/mascri/spec"
)

const planUsage = `Usage: mascri plan [--conf net.conflist] [FLAG...]

Prints what attaching a pod to the network would do, as a shell script with ip,
sysctl and nft, and does none of it. Needs no root, no Docker and no Linux.

`

// planFlags describe the pod and its network.
type planFlags struct {
	conf        string
	podCIDRs    string
	id          string
	netns       string
	ports       list
	annotations list
}

// plan is the subcommand of that name. The script goes to stdout.
func plan(ctx context.Context, args []string, log io.Writer) error {
	var p planFlags
	f := flag.NewFlagSet("plan", flag.ContinueOnError)
	f.SetOutput(log)
	f.Usage = func() {
		fmt.Fprint(log, planUsage)
		f.PrintDefaults()
	}
	f.StringVar(&p.conf, "conf", "", "the network's configuration `file` (default: the built-in network)")
	f.StringVar(&p.podCIDRs, "pod-cidr", "", "the node's pod `CIDRs`, as the kubelet would tell: 10.1.2.0/24,fd00:1:2::/64")
	f.StringVar(&p.id, "container-id", "example", "the pod's container `ID`")
	f.StringVar(&p.netns, "netns", "/run/netns/example", "`path` of the pod's network namespace")
	f.Var(&p.ports, "port", "host `ports`, separated by commas: [ADDRESS:]8080:80[/udp]")
	f.Var(&p.annotations, "annotation", "the pod's `annotations`, separated by commas: "+podnet.AnnotationMAC+"=02:00:0a:16:00:07")
	if err := parseFlags(f, args); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return misuse{fmt.Errorf("unexpected argument %q: did you mean --conf %s?", f.Arg(0), f.Arg(0))}
	}
	attachment, err := p.attachment()
	if err != nil {
		return err
	}
	script := scriptWriter{out: os.Stdout}
	_, err = podnet.Preview(spec.WithTrace(ctx, script.step), p.id, p.netns, attachment, preview.Run)
	return errors.Join(err, script.err)
}

// scriptWriter writes steps as a shell script, naming each actor once.
type scriptWriter struct {
	out io.Writer

	mu    sync.Mutex
	actor string
	err   error // the first error of writing
}

func (w *scriptWriter) step(step spec.Step) {
	w.mu.Lock()
	defer w.mu.Unlock()
	text := strings.TrimSuffix(step.Command, "\n") + "\n"
	if step.Actor != w.actor {
		text = "# " + step.Actor + "\n" + text
		w.actor = step.Actor
	}
	if _, err := io.WriteString(w.out, text); w.err == nil {
		w.err = err
	}
}

// attachment is what the runtime would hand to the network.
func (p planFlags) attachment() (podnet.Attachment, error) {
	var cidrs []netip.Prefix
	if p.podCIDRs != "" {
		var err error
		if cidrs, err = podnet.ParsePodCIDRs(p.podCIDRs); err != nil {
			return podnet.Attachment{}, fmt.Errorf("--pod-cidr: %w", err)
		}
	}
	network, err := p.network(cidrs)
	if err != nil {
		return podnet.Attachment{}, err
	}
	pod := podnet.Pod{Namespace: "default", Name: "example", UID: "example", Annotations: map[string]string{}}
	for _, text := range p.ports {
		port, err := parsePort(text)
		if err != nil {
			return podnet.Attachment{}, fmt.Errorf("--port: %w", err)
		}
		pod.Ports = append(pod.Ports, port)
	}
	for _, text := range p.annotations {
		key, value, ok := strings.Cut(text, "=")
		if !ok {
			return podnet.Attachment{}, fmt.Errorf("--annotation %q: expected KEY=VALUE", text)
		}
		pod.Annotations[key] = value
	}
	return podnet.Attach(network, pod, cidrs)
}

func (p planFlags) network(cidrs []netip.Prefix) (podnet.Network, error) {
	if p.conf == "" {
		return podnet.FromTemplate(podnet.BuiltinTemplate, podnet.TemplateData{PodCIDRs: cidrs})
	}
	network, err := podnet.ReadFile(p.conf)
	if err != nil {
		return podnet.Network{}, fmt.Errorf("network configuration %s: %w", p.conf, err)
	}
	return network, nil
}

// parsePort reads a host port as docker run takes it: [ADDRESS:]HOST:POD[/tcp|udp|sctp],
// an IPv6 address in brackets.
func parsePort(text string) (podnet.PortMapping, error) {
	mapping, protocol, ok := strings.Cut(text, "/")
	if !ok {
		protocol = "tcp"
	}
	port := podnet.PortMapping{Protocol: protocol}
	front, pod, ok := cutLast(mapping, ":")
	if !ok {
		return port, fmt.Errorf("%q: expected HOST:POD, such as 8080:80/tcp", text)
	}
	address, host, ok := cutLast(front, ":")
	if !ok {
		address, host = "", front
	}
	if address != "" {
		ip, err := netip.ParseAddr(strings.Trim(address, "[]"))
		if err != nil {
			return port, fmt.Errorf("%q: %w", text, err)
		}
		port.HostIP = ip.String()
	}
	hostPort, hostErr := strconv.ParseUint(host, 10, 16)
	podPort, podErr := strconv.ParseUint(pod, 10, 16)
	if hostErr != nil || podErr != nil || hostPort == 0 || podPort == 0 {
		return port, fmt.Errorf("%q: ports are numbers from 1 to 65535", text)
	}
	port.HostPort, port.ContainerPort = int32(hostPort), int32(podPort)
	return port, nil
}

func cutLast(s, separator string) (before, after string, found bool) {
	i := strings.LastIndex(s, separator)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(separator):], true
}
