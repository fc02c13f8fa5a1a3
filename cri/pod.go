package cri

import (
	"fmt"
	"strings"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mascri/mascri/cri/docker"
	"github.com/mascri/mascri/cri/podnet"
)

// SandboxOOMScore is the oom_score_adj of a sandbox's process. It protects the
// process that holds a pod's namespaces: without it the pod's containers lose
// their network. It is the score that the kubelet gives to itself and expects of
// sandboxes (kubelet: qos/policy.go).
const SandboxOOMScore = -998

// pod is a pod sandbox as it was asked for. Only parsePod and decodeSandbox make
// one, so that its parts can be relied on: metadata is there, names are safe in
// file names, container names and CNI_ARGS.
type pod struct {
	config  *runtimeapi.PodSandboxConfig
	handler string
}

// containerName is the name of the sandbox's container. It is unique for a pod
// and attempt, which makes the engine the judge when two calls race, and is in
// the form that people know from "docker ps" on Kubernetes nodes. The parts
// have no underscore of their own.
func (p pod) containerName() string {
	m := p.config.GetMetadata()
	return fmt.Sprintf("mascri_POD_%s_%s_%s_%d", m.GetName(), m.GetNamespace(), m.GetUid(), m.GetAttempt())
}

// String names the pod for error messages.
func (p pod) String() string {
	m := p.config.GetMetadata()
	return fmt.Sprintf("pod %s/%s (uid %s, attempt %d)", m.GetNamespace(), m.GetName(), m.GetUid(), m.GetAttempt())
}

func (p pod) security() *runtimeapi.LinuxSandboxSecurityContext {
	return p.config.GetLinux().GetSecurityContext()
}

func (p pod) namespaces() *runtimeapi.NamespaceOption {
	return p.security().GetNamespaceOptions()
}

// onHostNetwork tells whether the pod shares the node's network. The network
// namespace's default, POD, is the zero value.
func (p pod) onHostNetwork() bool {
	return p.namespaces().GetNetwork() == runtimeapi.NamespaceMode_NODE
}

// sandboxSpec is the pod's container in Docker's terms.
func (p pod) sandboxSpec(attachment *podnet.Attachment, created time.Time) (docker.SandboxSpec, error) {
	labels, err := encodeLabels(p, attachment, created)
	if err != nil {
		return docker.SandboxSpec{}, fmt.Errorf("%s: %w", p, err)
	}
	return docker.SandboxSpec{
		Name:           p.containerName(),
		Labels:         labels,
		Annotations:    p.config.GetAnnotations(),
		Hostname:       p.config.GetHostname(),
		CgroupParent:   p.config.GetLinux().GetCgroupParent(),
		Sysctls:        p.config.GetLinux().GetSysctls(),
		Network:        sandboxNamespace(p.namespaces().GetNetwork()),
		PID:            sandboxNamespace(p.namespaces().GetPid()),
		IPC:            sandboxNamespace(p.namespaces().GetIpc()),
		Security:       p.sandboxSecurity(),
		RuntimeHandler: p.handler,
		OOMScoreAdj:    SandboxOOMScore,
	}, nil
}

// sandboxNamespace: whatever is not the node's is the sandbox's own. For PID
// namespaces the CRI also knows one a container, which the sandbox then is too.
func sandboxNamespace(mode runtimeapi.NamespaceMode) docker.Namespace {
	if mode == runtimeapi.NamespaceMode_NODE {
		return docker.Host
	}
	return docker.Private
}

// sandboxSecurity is how the pause process is confined. It needs no privilege,
// so run_as_user and the like are for the sake of policies only; "privileged"
// is passed on since containers of a privileged pod share its namespaces.
func (p pod) sandboxSecurity() docker.Security {
	s := p.security()
	security := docker.Security{
		Privileged:         s.GetPrivileged(),
		ReadOnlyRootfs:     s.GetReadonlyRootfs(),
		SupplementalGroups: s.GetSupplementalGroups(),
		Seccomp:            profile(s.GetSeccomp()),
		AppArmor:           profile(s.GetApparmor()),
	}
	if user := s.GetRunAsUser(); user != nil {
		security.User = fmt.Sprint(user.GetValue())
		if group := s.GetRunAsGroup(); group != nil {
			security.User += fmt.Sprintf(":%d", group.GetValue())
		}
	}
	if o := s.GetSelinuxOptions(); o != nil {
		security.SELinux = docker.SELinuxLabel{User: o.GetUser(), Role: o.GetRole(), Type: o.GetType(), Level: o.GetLevel()}
	}
	return security
}

func profile(p *runtimeapi.SecurityProfile) docker.Profile {
	switch p.GetProfileType() {
	case runtimeapi.SecurityProfile_Unconfined:
		return docker.Profile{Kind: docker.UnconfinedProfile}
	case runtimeapi.SecurityProfile_Localhost:
		return docker.Profile{Kind: docker.LocalhostProfile, Localhost: p.GetLocalhostRef()}
	}
	return docker.Profile{}
}

// forNetwork is what the network may know of the pod.
func (p pod) forNetwork() podnet.Pod {
	m := p.config.GetMetadata()
	n := podnet.Pod{
		Namespace:    m.GetNamespace(),
		Name:         m.GetName(),
		UID:          m.GetUid(),
		DNS:          p.dns(),
		Annotations:  p.config.GetAnnotations(),
		CgroupParent: p.config.GetLinux().GetCgroupParent(),
	}
	for _, port := range p.config.GetPortMappings() {
		n.Ports = append(n.Ports, podnet.PortMapping{
			HostPort:      port.GetHostPort(),
			ContainerPort: port.GetContainerPort(),
			Protocol:      strings.ToLower(port.GetProtocol().String()),
			HostIP:        port.GetHostIp(),
		})
	}
	return n
}

// dns is the resolv.conf that the pod asks for; zero where it asks for none.
func (p pod) dns() podnet.DNS {
	d := p.config.GetDnsConfig()
	return podnet.DNS{Servers: d.GetServers(), Searches: d.GetSearches(), Options: d.GetOptions()}
}
