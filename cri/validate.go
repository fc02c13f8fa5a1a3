package cri

import (
	"fmt"
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strings"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

const (
	maxNameLength     = 253 // RFC 1123 through Kubernetes: a DNS subdomain
	maxHostnameLength = 63  // sethostname(2) takes 64, a DNS label 63
	maxPort           = 65535
	maxNameservers    = 16 // the C library reads 3; more are allowed to stand there
)

// podName is a Kubernetes name or UID, with the upper case that tools other
// than Kubernetes use. It excludes what has a meaning in CNI_ARGS (";", "="),
// in paths and in the names of our containers ("_").
var podName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$`)

// hostname is a DNS label, or several for those who set an FQDN.
var hostname = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$`)

// sysctlName is a key of sysctl(8), with dots or slashes between its parts.
var sysctlName = regexp.MustCompile(`^[a-z0-9]([-_a-z0-9]*[a-z0-9])?([./][a-z0-9]([-_a-z0-9]*[a-z0-9])?)+$`)

// parsePod makes a pod of a request, or says which field is wrong. Nothing past
// it checks again.
func parsePod(r *runtimeapi.RunPodSandboxRequest) (pod, error) {
	config := r.GetConfig()
	if config == nil {
		return pod{}, invalid("config", "is missing")
	}
	for _, check := range []func(*runtimeapi.PodSandboxConfig) error{
		checkMetadata, checkHostname, checkLogDirectory, checkDNS, checkPorts, checkLinux,
	} {
		if err := check(config); err != nil {
			return pod{}, err
		}
	}
	return pod{config: config, handler: r.GetRuntimeHandler()}, nil
}

func checkMetadata(config *runtimeapi.PodSandboxConfig) error {
	m := config.GetMetadata()
	if m == nil {
		return invalid("config.metadata", "is missing")
	}
	for _, part := range []struct{ name, value string }{
		{"name", m.GetName()}, {"namespace", m.GetNamespace()}, {"uid", m.GetUid()},
	} {
		field := "config.metadata." + part.name
		switch {
		case part.value == "":
			return invalid(field, "is empty")
		case len(part.value) > maxNameLength:
			return invalid(field, "is %d bytes long, at most %d are allowed", len(part.value), maxNameLength)
		case !podName.MatchString(part.value):
			return invalid(field, "%q must be letters, digits, '-' and '.', beginning and ending with a letter or digit", part.value)
		}
	}
	return nil
}

func checkHostname(config *runtimeapi.PodSandboxConfig) error {
	name := config.GetHostname()
	if name == "" {
		return nil
	}
	if len(name) > maxHostnameLength {
		return invalid("config.hostname", "%q is %d bytes long, at most %d are allowed", name, len(name), maxHostnameLength)
	}
	if !hostname.MatchString(name) {
		return invalid("config.hostname", "%q must be letters, digits and '-', with '.' between labels", name)
	}
	return nil
}

func checkLogDirectory(config *runtimeapi.PodSandboxConfig) error {
	dir := config.GetLogDirectory()
	if dir == "" {
		return nil
	}
	if !path.IsAbs(dir) || strings.ContainsRune(dir, 0) {
		return invalid("config.log_directory", "%q must be an absolute path", dir)
	}
	return nil
}

func checkDNS(config *runtimeapi.PodSandboxConfig) error {
	dns := config.GetDnsConfig()
	if n := len(dns.GetServers()); n > maxNameservers {
		return invalid("config.dns_config.servers", "has %d entries, at most %d are allowed", n, maxNameservers)
	}
	for i, server := range dns.GetServers() {
		if _, err := netip.ParseAddr(server); err != nil {
			return invalid(fmt.Sprintf("config.dns_config.servers[%d]", i), "%q is no IP address", server)
		}
	}
	for _, list := range []struct {
		name    string
		entries []string
	}{{"searches", dns.GetSearches()}, {"options", dns.GetOptions()}} {
		for i, entry := range list.entries {
			// Each becomes a word of a line of resolv.conf(5).
			if entry == "" || strings.ContainsAny(entry, " \t\r\n#;\x00") {
				return invalid(fmt.Sprintf("config.dns_config.%s[%d]", list.name, i), "%q must be one word", entry)
			}
		}
	}
	return nil
}

func checkPorts(config *runtimeapi.PodSandboxConfig) error {
	type hostPort struct {
		protocol runtimeapi.Protocol
		ip       string
		port     int32
	}
	taken := map[hostPort]int{}
	for i, p := range config.GetPortMappings() {
		field := fmt.Sprintf("config.port_mappings[%d]", i)
		if p.GetContainerPort() < 1 || p.GetContainerPort() > maxPort {
			return invalid(field+".container_port", "%d is outside of 1 to %d", p.GetContainerPort(), maxPort)
		}
		if p.GetHostPort() < 0 || p.GetHostPort() > maxPort {
			return invalid(field+".host_port", "%d is outside of 0 to %d", p.GetHostPort(), maxPort)
		}
		if _, known := runtimeapi.Protocol_name[int32(p.GetProtocol())]; !known {
			return invalid(field+".protocol", "%d is unknown", p.GetProtocol())
		}
		if _, err := netip.ParseAddr(p.GetHostIp()); p.GetHostIp() != "" && err != nil {
			return invalid(field+".host_ip", "%q is no IP address", p.GetHostIp())
		}
		key := hostPort{p.GetProtocol(), p.GetHostIp(), p.GetHostPort()}
		if other, ok := taken[key]; ok && p.GetHostPort() != 0 {
			return invalid(field+".host_port", "%d/%s is taken by port_mappings[%d]", p.GetHostPort(), p.GetProtocol(), other)
		}
		taken[key] = i
	}
	return nil
}

func checkLinux(config *runtimeapi.PodSandboxConfig) error {
	linux := config.GetLinux()
	options := linux.GetSecurityContext().GetNamespaceOptions()
	if err := checkNamespaces(options); err != nil {
		return err
	}
	for name := range linux.GetSysctls() {
		field := fmt.Sprintf("config.linux.sysctls[%q]", name)
		if !sysctlName.MatchString(name) {
			return invalid(field, "is no sysctl name such as net.ipv4.ip_local_port_range")
		}
		dotted := strings.ReplaceAll(name, "/", ".")
		if strings.HasPrefix(dotted, "net.") && options.GetNetwork() == runtimeapi.NamespaceMode_NODE {
			return invalid(field, "would change the node's network, which the pod shares")
		}
	}
	if parent := linux.GetCgroupParent(); strings.Contains(parent, "..") {
		return invalid("config.linux.cgroup_parent", "%q must not contain \"..\"", parent)
	}
	return checkProfiles(linux.GetSecurityContext())
}

func checkNamespaces(options *runtimeapi.NamespaceOption) error {
	const field = "config.linux.security_context.namespace_options"
	// POD is the mode's zero value, so only its presence tells that it is asked for.
	if o := options.GetUsernsOptions(); o != nil && o.GetMode() == runtimeapi.NamespaceMode_POD {
		return invalid(field+".userns_options", "Docker has no user namespace for a single pod; run the engine with userns-remap instead")
	}
	for _, n := range []struct {
		name    string
		mode    runtimeapi.NamespaceMode
		allowed []runtimeapi.NamespaceMode
	}{
		{"network", options.GetNetwork(), []runtimeapi.NamespaceMode{runtimeapi.NamespaceMode_POD, runtimeapi.NamespaceMode_NODE}},
		{"ipc", options.GetIpc(), []runtimeapi.NamespaceMode{runtimeapi.NamespaceMode_POD, runtimeapi.NamespaceMode_NODE}},
		{"pid", options.GetPid(), []runtimeapi.NamespaceMode{runtimeapi.NamespaceMode_POD, runtimeapi.NamespaceMode_CONTAINER, runtimeapi.NamespaceMode_NODE}},
	} {
		if !slices.Contains(n.allowed, n.mode) {
			return invalid(field+"."+n.name, "%s is not possible for a sandbox, only %v", n.mode, n.allowed)
		}
	}
	return nil
}

func checkProfiles(security *runtimeapi.LinuxSandboxSecurityContext) error {
	const field = "config.linux.security_context."
	if security.GetRunAsGroup() != nil && security.GetRunAsUser() == nil {
		return invalid(field+"run_as_group", "needs run_as_user")
	}
	for _, p := range []struct {
		name    string
		profile *runtimeapi.SecurityProfile
	}{{"seccomp", security.GetSeccomp()}, {"apparmor", security.GetApparmor()}} {
		if p.profile.GetProfileType() == runtimeapi.SecurityProfile_Localhost && p.profile.GetLocalhostRef() == "" {
			return invalid(field+p.name+".localhost_ref", "is empty for a profile of type Localhost")
		}
	}
	return nil
}
