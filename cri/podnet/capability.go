package podnet

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"net"
	"net/netip"
	"strings"
)

// Annotations of a pod that reach the network as capabilities.
const (
	// AnnotationIPs asks for addresses: "10.22.0.7/16,fd00::7/64". The network
	// must declare the capability ips.
	AnnotationIPs = "mascri/ips"
	// AnnotationMAC asks for a hardware address. The network must declare the
	// capability mac.
	AnnotationMAC = "mascri/mac"
	// AnnotationIngress and AnnotationEgress are Kubernetes' own: bits a second
	// as a quantity, "10M".
	AnnotationIngress = "kubernetes.io/ingress-bandwidth"
	AnnotationEgress  = "kubernetes.io/egress-bandwidth"
)

// podAnnotations is containerd's name for passing a pod's annotations on; it
// has become a convention.
const podAnnotations = "io.kubernetes.cri.pod-annotations"

// AnnotationError is an annotation that cannot be read, whatever the network.
type AnnotationError struct {
	Annotation string
	err        error
}

func (e *AnnotationError) Error() string { return "annotation " + e.Annotation + ": " + e.err.Error() }

// Unwrap gives what is wrong with the value.
func (e *AnnotationError) Unwrap() error { return e.err }

// ErrNoCapability says that the pod's network cannot do what an annotation asks
// for.
var ErrNoCapability = errors.New("the network lacks a capability")

// capabilitiesFor collects what the network declares and the pod or the node
// has (CONVENTIONS.md of the CNI project, "Well-known Capabilities"). An
// explicit wish of the pod that the network cannot fulfil is an error: to
// ignore it would put the pod on an address nobody asked for.
func capabilitiesFor(network Network, pod Pod, podCIDRs []netip.Prefix) (map[string]any, error) {
	bandwidth, err := bandwidthOf(pod.Annotations)
	if err != nil {
		return nil, err
	}
	ips, err := ipsOf(pod.Annotations)
	if err != nil {
		return nil, err
	}
	mac, err := macOf(pod.Annotations)
	if err != nil {
		return nil, err
	}
	offers := []struct {
		name  string
		value any
		given bool
		asked string // the annotation that insists on it
	}{
		{"portMappings", pod.hostPorts(), len(pod.hostPorts()) > 0, ""},
		{"dns", pod.DNS, !pod.DNS.IsZero(), ""},
		{"ipRanges", ipRanges(podCIDRs), len(podCIDRs) > 0, ""},
		{"cgroupPath", pod.CgroupParent, pod.CgroupParent != "", ""},
		{podAnnotations, pod.Annotations, len(pod.Annotations) > 0, ""},
		{"bandwidth", bandwidth, bandwidth != nil, ""},
		{"ips", ips, ips != nil, AnnotationIPs},
		{"mac", mac, mac != "", AnnotationMAC},
	}
	capabilities := map[string]any{}
	for _, o := range offers {
		switch declared := network.declares(o.name); {
		case o.given && declared:
			capabilities[o.name] = o.value
		case o.given && o.asked != "":
			return nil, fmt.Errorf("annotation %s: %w: network %s (%s) does not declare %q", o.asked, ErrNoCapability, network.Name, network.Source, o.name)
		}
	}
	return plain(capabilities)
}

// plain turns the values into those that reading the attachment back from JSON
// gives, so that DEL cannot differ from ADD by a detail of encoding.
func plain(capabilities map[string]any) (map[string]any, error) {
	text, err := json.Marshal(capabilities)
	if err != nil {
		return nil, err
	}
	var values map[string]any
	return values, json.Unmarshal(text, &values)
}

// hostPorts are the mappings that ask for a port of the host. The CRI lists
// every port of the pod; without a host port it is only documentation.
func (p Pod) hostPorts() (ports []PortMapping) {
	for _, port := range p.Ports {
		if port.HostPort > 0 {
			ports = append(ports, port)
		}
	}
	return ports
}

type ipRange struct {
	Subnet netip.Prefix `json:"subnet"`
}

// ipRanges makes each pod CIDR a range set of its own: the pod gets an address
// of every set.
func ipRanges(podCIDRs []netip.Prefix) (sets [][]ipRange) {
	for _, cidr := range podCIDRs {
		sets = append(sets, []ipRange{{Subnet: cidr}})
	}
	return sets
}

// bandwidth is the capability of that name: rates in bits a second, bursts in
// bits.
type bandwidth struct {
	IngressRate  uint64 `json:"ingressRate,omitempty"`
	IngressBurst uint64 `json:"ingressBurst,omitempty"`
	EgressRate   uint64 `json:"egressRate,omitempty"`
	EgressBurst  uint64 `json:"egressBurst,omitempty"`
}

// unlimitedBurst is the largest burst that the plugin bandwidth accepts. Pods
// have no annotation for one, and the plugin wants one with each rate.
const unlimitedBurst = math.MaxUint32

func bandwidthOf(annotations map[string]string) (*bandwidth, error) {
	var b bandwidth
	for _, limit := range []struct {
		annotation  string
		rate, burst *uint64
	}{
		{AnnotationIngress, &b.IngressRate, &b.IngressBurst},
		{AnnotationEgress, &b.EgressRate, &b.EgressBurst},
	} {
		text, ok := annotations[limit.annotation]
		if !ok {
			continue
		}
		rate, err := parseRate(text)
		if err != nil {
			return nil, &AnnotationError{limit.annotation, err}
		}
		*limit.rate, *limit.burst = rate, unlimitedBurst
	}
	if b == (bandwidth{}) {
		return nil, nil
	}
	return &b, nil
}

// rateSuffixes are those of a Kubernetes quantity that make sense for a rate.
var rateSuffixes = map[string]int64{
	"": 1, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15,
	"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40, "Pi": 1 << 50,
}

// parseRate reads a Kubernetes quantity in bits a second, from 1k to 1P: the
// bounds that Kubernetes itself sets.
func parseRate(text string) (uint64, error) {
	number := strings.TrimRight(text, "kMGTPi")
	factor, known := rateSuffixes[text[len(number):]]
	value, ok := new(big.Rat).SetString(number)
	// SetString also reads "1/3", "0x1p-2" and "1e99999999".
	if !known || !ok || strings.Trim(number, "0123456789.") != "" {
		return 0, fmt.Errorf("%q is no bandwidth: expected bits a second such as 500k, 10M or 1Gi", text)
	}
	bits, _ := value.Mul(value, new(big.Rat).SetInt64(factor)).Float64()
	if bits < 1e3 || bits > 1e15 {
		return 0, fmt.Errorf("%q is outside of 1k to 1P bits a second", text)
	}
	return uint64(bits), nil
}

func ipsOf(annotations map[string]string) ([]string, error) {
	text, ok := annotations[AnnotationIPs]
	if !ok {
		return nil, nil
	}
	var ips []string
	for ip := range strings.SplitSeq(text, ",") {
		ip = strings.TrimSpace(ip)
		_, prefixErr := netip.ParsePrefix(ip)
		if _, err := netip.ParseAddr(ip); err != nil && prefixErr != nil {
			return nil, &AnnotationError{AnnotationIPs, fmt.Errorf("%q is neither an address nor ADDRESS/BITS", ip)}
		}
		ips = append(ips, ip)
	}
	return ips, nil
}

func macOf(annotations map[string]string) (string, error) {
	text, ok := annotations[AnnotationMAC]
	if !ok {
		return "", nil
	}
	mac, err := net.ParseMAC(text)
	if err != nil || len(mac) != 6 {
		return "", &AnnotationError{AnnotationMAC, fmt.Errorf("%q is no Ethernet address such as 02:00:0a:16:00:07", text)}
	}
	return mac.String(), nil
}
