package cri

import (
	"errors"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// validPod is a pod that uses every field that the door looks at.
func validPod() *runtimeapi.PodSandboxConfig {
	return &runtimeapi.PodSandboxConfig{
		Metadata:     &runtimeapi.PodSandboxMetadata{Name: "web-0", Namespace: "default", Uid: "0b2d1f3e-1", Attempt: 3},
		Hostname:     "web-0.example",
		LogDirectory: "/var/log/pods/default_web-0",
		DnsConfig:    &runtimeapi.DNSConfig{Servers: []string{"10.0.0.10", "fd00::a"}, Searches: []string{"svc.cluster.local"}, Options: []string{"ndots:5"}},
		PortMappings: []*runtimeapi.PortMapping{
			{ContainerPort: 80, HostPort: 8080},
			{ContainerPort: 53, HostPort: 8080, Protocol: runtimeapi.Protocol_UDP},
			{ContainerPort: 81, HostPort: 8080, HostIp: "192.0.2.1"},
			{ContainerPort: 90}, {ContainerPort: 91},
		},
		Linux: &runtimeapi.LinuxPodSandboxConfig{
			CgroupParent: "/kubepods/burstable/pod1",
			Sysctls:      map[string]string{"net.ipv4.ip_local_port_range": "1024 65535", "kernel/shm_rmid_forced": "1"},
			SecurityContext: &runtimeapi.LinuxSandboxSecurityContext{
				NamespaceOptions: &runtimeapi.NamespaceOption{Pid: runtimeapi.NamespaceMode_CONTAINER},
				RunAsUser:        &runtimeapi.Int64Value{Value: 1000},
				RunAsGroup:       &runtimeapi.Int64Value{Value: 1000},
			},
		},
	}
}

func TestParsePodAccepts(t *testing.T) {
	for name, config := range map[string]*runtimeapi.PodSandboxConfig{
		"everything": validPod(),
		"a minimum":  {Metadata: &runtimeapi.PodSandboxMetadata{Name: "a", Namespace: "b", Uid: "c"}},
	} {
		if _, err := parsePod(&runtimeapi.RunPodSandboxRequest{Config: config}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Each rule has a pod that breaks it; the error names the field and what is in
// it.
func TestParsePodRefuses(t *testing.T) {
	security := func(c *runtimeapi.PodSandboxConfig) *runtimeapi.LinuxSandboxSecurityContext {
		return c.Linux.SecurityContext
	}
	for _, c := range []struct {
		field, says string
		breakIt     func(*runtimeapi.PodSandboxConfig)
	}{
		{"config.metadata", "missing", func(c *runtimeapi.PodSandboxConfig) { c.Metadata = nil }},
		{"config.metadata.name", "empty", func(c *runtimeapi.PodSandboxConfig) { c.Metadata.Name = "" }},
		{"config.metadata.name", "../x", func(c *runtimeapi.PodSandboxConfig) { c.Metadata.Name = "../x" }},
		{"config.metadata.name", "a_b", func(c *runtimeapi.PodSandboxConfig) { c.Metadata.Name = "a_b" }},
		{"config.metadata.name", "300 bytes", func(c *runtimeapi.PodSandboxConfig) { c.Metadata.Name = strings.Repeat("a", 300) }},
		{"config.metadata.namespace", "a;IP=1", func(c *runtimeapi.PodSandboxConfig) { c.Metadata.Namespace = "a;IP=1" }},
		{"config.metadata.uid", "x/y", func(c *runtimeapi.PodSandboxConfig) { c.Metadata.Uid = "x/y" }},
		{"config.hostname", "64 bytes", func(c *runtimeapi.PodSandboxConfig) { c.Hostname = strings.Repeat("h", 64) }},
		{"config.hostname", "a..b", func(c *runtimeapi.PodSandboxConfig) { c.Hostname = "a..b" }},
		{"config.hostname", "a b", func(c *runtimeapi.PodSandboxConfig) { c.Hostname = "a b" }},
		{"config.log_directory", "logs", func(c *runtimeapi.PodSandboxConfig) { c.LogDirectory = "logs" }},
		{"config.dns_config.servers[1]", "ns1", func(c *runtimeapi.PodSandboxConfig) { c.DnsConfig.Servers[1] = "ns1" }},
		{"config.dns_config.servers", "17 entries", func(c *runtimeapi.PodSandboxConfig) { c.DnsConfig.Servers = make([]string, 17) }},
		{"config.dns_config.searches[0]", "nameserver", func(c *runtimeapi.PodSandboxConfig) { c.DnsConfig.Searches[0] = "a\nnameserver 1.2.3.4" }},
		{"config.dns_config.options[0]", "one word", func(c *runtimeapi.PodSandboxConfig) { c.DnsConfig.Options[0] = "" }},
		{"config.port_mappings[0].container_port", "0", func(c *runtimeapi.PodSandboxConfig) { c.PortMappings[0].ContainerPort = 0 }},
		{"config.port_mappings[0].host_port", "70000", func(c *runtimeapi.PodSandboxConfig) { c.PortMappings[0].HostPort = 70000 }},
		{"config.port_mappings[0].protocol", "9", func(c *runtimeapi.PodSandboxConfig) { c.PortMappings[0].Protocol = 9 }},
		{"config.port_mappings[2].host_ip", "eth0", func(c *runtimeapi.PodSandboxConfig) { c.PortMappings[2].HostIp = "eth0" }},
		{"config.port_mappings[1].host_port", "port_mappings[0]", func(c *runtimeapi.PodSandboxConfig) { c.PortMappings[1].Protocol = runtimeapi.Protocol_TCP }},
		{"config.linux.sysctls[\"../x\"]", "no sysctl", func(c *runtimeapi.PodSandboxConfig) { c.Linux.Sysctls["../x"] = "1" }},
		{"net.ipv4.ip_local_port_range", "node's network", func(c *runtimeapi.PodSandboxConfig) {
			security(c).NamespaceOptions.Network = runtimeapi.NamespaceMode_NODE
		}},
		{"config.linux.cgroup_parent", "..", func(c *runtimeapi.PodSandboxConfig) { c.Linux.CgroupParent = "/a/../b" }},
		{"namespace_options.network", "CONTAINER", func(c *runtimeapi.PodSandboxConfig) {
			security(c).NamespaceOptions.Network = runtimeapi.NamespaceMode_CONTAINER
		}},
		{"namespace_options.ipc", "TARGET", func(c *runtimeapi.PodSandboxConfig) {
			security(c).NamespaceOptions.Ipc = runtimeapi.NamespaceMode_TARGET
		}},
		{"namespace_options.pid", "TARGET", func(c *runtimeapi.PodSandboxConfig) {
			security(c).NamespaceOptions.Pid = runtimeapi.NamespaceMode_TARGET
		}},
		{"namespace_options.userns_options", "userns-remap", func(c *runtimeapi.PodSandboxConfig) {
			security(c).NamespaceOptions.UsernsOptions = &runtimeapi.UserNamespace{}
		}},
		{"run_as_group", "run_as_user", func(c *runtimeapi.PodSandboxConfig) { security(c).RunAsUser = nil }},
		{"seccomp.localhost_ref", "empty", func(c *runtimeapi.PodSandboxConfig) {
			security(c).Seccomp = &runtimeapi.SecurityProfile{ProfileType: runtimeapi.SecurityProfile_Localhost}
		}},
	} {
		config := validPod()
		c.breakIt(config)
		_, err := parsePod(&runtimeapi.RunPodSandboxRequest{Config: config})
		var field *fieldError
		if !errors.As(err, &field) || codeOf(err) != codes.InvalidArgument {
			t.Errorf("%s: %v, want an InvalidArgument", c.field, err)
			continue
		}
		if !strings.Contains(field.field, c.field) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q, want it to name %s and %q", err, c.field, c.says)
		}
	}
	if _, err := parsePod(&runtimeapi.RunPodSandboxRequest{}); err == nil {
		t.Error("a request without a config passes")
	}
}

// Two pods never share a container's name: their parts cannot run into each
// other.
func FuzzContainerName(f *testing.F) {
	f.Add("a", "b", "c", "a", "b", "d")
	f.Add("a-b", "c", "d", "a", "b-c", "d")
	f.Add("a_b", "c", "d", "a", "b_c", "d")
	f.Fuzz(func(t *testing.T, name, namespace, uid, name2, namespace2, uid2 string) {
		make := func(name, namespace, uid string) (string, error) {
			config := &runtimeapi.PodSandboxConfig{Metadata: &runtimeapi.PodSandboxMetadata{Name: name, Namespace: namespace, Uid: uid}}
			p, err := parsePod(&runtimeapi.RunPodSandboxRequest{Config: config})
			if err != nil {
				return "", err
			}
			return p.containerName(), nil
		}
		one, err1 := make(name, namespace, uid)
		two, err2 := make(name2, namespace2, uid2)
		same := name == name2 && namespace == namespace2 && uid == uid2
		if err1 == nil && err2 == nil && (one == two) != same {
			t.Errorf("%q and %q: same pod is %v", one, two, same)
		}
	})
}
