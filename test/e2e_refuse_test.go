//go:build e2e && linux

package test

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// errorf is fmt.Errorf, for closures that eventually asks.
func errorf(format string, args ...any) error { return fmt.Errorf(format, args...) }

// A refusal is a pod or a configuration that cannot be had, and how the answer
// has to name what is wrong.
type refusal struct {
	conflist string // "": the default network
	change   func(*runtimeapi.PodSandboxConfig)
	code     codes.Code
	says     []string
}

var refusals = map[string]refusal{
	"no metadata": {
		change: func(c *runtimeapi.PodSandboxConfig) { c.Metadata = nil },
		code:   codes.InvalidArgument, says: []string{"metadata", "missing"},
	},
	"a path as a name": {
		change: func(c *runtimeapi.PodSandboxConfig) { c.Metadata.Name = "../../etc" },
		code:   codes.InvalidArgument, says: []string{"config.metadata.name", "../../etc"},
	},
	"a second argument in the namespace": {
		change: func(c *runtimeapi.PodSandboxConfig) { c.Metadata.Namespace = "a;IP=10.22.0.9" },
		code:   codes.InvalidArgument, says: []string{"config.metadata.namespace"},
	},
	"a host name that is none": {
		change: func(c *runtimeapi.PodSandboxConfig) { c.Hostname = "a b" },
		code:   codes.InvalidArgument, says: []string{"config.hostname", "a b"},
	},
	"a name server that is none": {
		change: func(c *runtimeapi.PodSandboxConfig) {
			c.DnsConfig = &runtimeapi.DNSConfig{Servers: []string{"dns.example"}}
		},
		code: codes.InvalidArgument, says: []string{"config.dns_config.servers[0]", "dns.example"},
	},
	"a port that is none": {
		change: hostPort(runtimeapi.Protocol_TCP, 70000, 80),
		code:   codes.InvalidArgument, says: []string{"config.port_mappings[0].host_port", "70000"},
	},
	"an address that is none": {
		change: annotation("mascri/ips", "10.22.0"),
		code:   codes.InvalidArgument, says: []string{"mascri/ips", "10.22.0"},
	},
	"a hardware address that is none": {
		change: annotation("mascri/mac", "02:00"),
		code:   codes.InvalidArgument, says: []string{"mascri/mac", "02:00"},
	},
	"a bandwidth that is none": {
		change: annotation("kubernetes.io/egress-bandwidth", "fast"),
		code:   codes.InvalidArgument, says: []string{"kubernetes.io/egress-bandwidth", "fast"},
	},
	"a user namespace": {
		change: func(c *runtimeapi.PodSandboxConfig) {
			c.Linux.SecurityContext = &runtimeapi.LinuxSandboxSecurityContext{NamespaceOptions: &runtimeapi.NamespaceOption{
				UsernsOptions: &runtimeapi.UserNamespace{Mode: runtimeapi.NamespaceMode_POD}}}
		},
		code: codes.InvalidArgument, says: []string{"userns_options"},
	},
	"a sysctl of the network it shares": {
		change: func(c *runtimeapi.PodSandboxConfig) {
			c.Linux.Sysctls = map[string]string{"net.ipv4.ip_forward": "0"}
			c.Linux.SecurityContext = &runtimeapi.LinuxSandboxSecurityContext{NamespaceOptions: &runtimeapi.NamespaceOption{Network: runtimeapi.NamespaceMode_NODE}}
		},
		code: codes.InvalidArgument, says: []string{"net.ipv4.ip_forward"},
	},
	"no such OCI runtime": { // set by the test, below
		code: codes.InvalidArgument, says: []string{"no-such-runtime"},
	},
	"a configuration that is no JSON": {
		conflist: "{", code: codes.FailedPrecondition, says: []string{"10-mascri.conflist"},
	},
	"a path as a network name": {
		conflist: `{"cniVersion": "1.1.0", "name": "../../etc", "plugins": [{"type": "netplug"}]}`,
		code:     codes.FailedPrecondition, says: []string{"10-mascri.conflist", "../../etc"},
	},
	"a version from the future": {
		conflist: `{"cniVersion": "9.9.9", "name": "mascri", "plugins": [{"type": "netplug"}]}`,
		code:     codes.FailedPrecondition, says: []string{"9.9.9"},
	},
	"a plugin that is not there": {
		conflist: `{"cniVersion": "1.1.0", "name": "mascri", "plugins": [{"type": "no-such-plugin"}]}`,
		code:     codes.FailedPrecondition, says: []string{"no-such-plugin"},
	},
	"an IPAM plugin that is not there": {
		conflist: `{"cniVersion": "1.1.0", "name": "mascri", "plugins": [{"type": "netplug", "ipam": {"type": "no-such-ipam"}}]}`,
		code:     codes.FailedPrecondition, says: []string{"no-such-ipam"},
	},
	"a bridge name that is too long": {
		conflist: `{"cniVersion": "1.1.0", "name": "mascri", "plugins": [{"type": "netplug", "bridge": "a-name-of-more-than-15", "ipam": {"type": "ipam", "subnet": "10.22.0.0/24"}}]}`,
		code:     codes.FailedPrecondition, says: []string{"a-name-of-more-than-15", "15"},
	},
	"a subnet with host bits": {
		conflist: `{"cniVersion": "1.1.0", "name": "mascri", "plugins": [{"type": "netplug", "bridge": "mascri0", "ipam": {"type": "ipam", "subnet": "10.22.0.5/24"}}]}`,
		code:     codes.FailedPrecondition, says: []string{"host bits", "10.22.0.0"},
	},
	"ranges that overlap": {
		conflist: `{"cniVersion": "1.1.0", "name": "mascri", "plugins": [{"type": "netplug", "bridge": "mascri0", "ipam": {"type": "ipam", "ranges": [[{"subnet": "10.22.0.0/24"}], [{"subnet": "10.22.0.0/25"}]]}}]}`,
		code:     codes.FailedPrecondition, says: []string{"overlap"},
	},
}

// annotation is a change for podConfig.
func annotation(key, value string) func(*runtimeapi.PodSandboxConfig) {
	return func(c *runtimeapi.PodSandboxConfig) { c.Annotations = map[string]string{key: value} }
}

// TestRefusals asks for each of them, and demands that nothing is left of it.
func TestRefusals(t *testing.T) {
	n := newNode(t)
	for name, r := range refusals {
		t.Run(name, func(t *testing.T) {
			n := n.within(t)
			n.configure("10-mascri.conflist", conflist(t))
			if r.conflist != "" {
				n.configure("10-mascri.conflist", r.conflist)
			}
			request := &runtimeapi.RunPodSandboxRequest{Config: podConfig(strings.ReplaceAll(name, " ", "-"))}
			if r.change != nil {
				r.change(request.Config)
			} else if r.conflist == "" {
				request.RuntimeHandler = "no-such-runtime"
			}
			_, err := n.RunPodSandbox(t.Context(), request)
			if status.Code(err) != r.code {
				t.Errorf("code %s, want %s: %v", status.Code(err), r.code, err)
			}
			for _, word := range r.says {
				if !strings.Contains(fmt.Sprint(err), word) {
					t.Errorf("the answer does not say %q: %v", word, err)
				}
			}
			n.assertNothingLeft()
		})
	}
}

func TestExhaustedRange(t *testing.T) {
	n := newNode(t)
	// A /29 has six host addresses; the gateway has one.
	n.configure("10-mascri.conflist", conflist(t, "10.25.0.0/29"))
	var last string
	for i := range 5 {
		last = n.run(podConfig(fmt.Sprintf("pod-%d", i)))
	}
	_, err := n.RunPodSandbox(t.Context(), &runtimeapi.RunPodSandboxRequest{Config: podConfig("one-too-many")})
	if status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), "10.25.0.") {
		t.Errorf("a sixth pod: %v, want ResourceExhausted and the range", err)
	}
	if containers := n.containers(); len(containers) != 5 {
		t.Errorf("containers after that: %v", containers)
	}
	n.remove(last)
	n.run(podConfig("in-its-place"))
}
