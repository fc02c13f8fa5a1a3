package cri

import (
	"cmp"
	"fmt"
	"strings"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mascri/mascri/cri/docker"
)

// unsupported makes the error of a field that Docker cannot honour.
func unsupported(field, format string, args ...any) error {
	return fmt.Errorf("%s: %w: %w", field, docker.ErrUnsupported, fmt.Errorf(format, args...))
}

// containerSecurity is what a container's process may do, in Docker's terms.
func containerSecurity(s *runtimeapi.LinuxContainerSecurityContext) docker.Security {
	if s == nil { // nothing was asked for: Docker's own confinement
		return docker.Security{}
	}
	security := docker.Security{
		User:               userOf(s),
		SupplementalGroups: s.GetSupplementalGroups(),
		Privileged:         s.GetPrivileged(),
		ReadOnlyRootfs:     s.GetReadonlyRootfs(),
		NoNewPrivileges:    s.GetNoNewPrivs(),
		AddCapabilities:    s.GetCapabilities().GetAddCapabilities(),
		DropCapabilities:   s.GetCapabilities().GetDropCapabilities(),
		Seccomp:            profile(seccompOf(s)),
		AppArmor:           profile(apparmorOf(s)),
		// The caller's lists hold as they are: protobuf does not tell an empty
		// one, which the kubelet sends for procMount Unmasked, from none.
		MaskedPaths:   append([]string{}, s.GetMaskedPaths()...),
		ReadonlyPaths: append([]string{}, s.GetReadonlyPaths()...),
	}
	if o := s.GetSelinuxOptions(); o != nil {
		security.SELinux = docker.SELinuxLabel{User: o.GetUser(), Role: o.GetRole(), Type: o.GetType(), Level: o.GetLevel()}
	}
	return security
}

// userOf is "uid", "uid:gid", "name" or "name:gid"; "" is the image's.
func userOf(s *runtimeapi.LinuxContainerSecurityContext) string {
	user := s.GetRunAsUsername()
	if uid := s.GetRunAsUser(); uid != nil {
		user = fmt.Sprint(uid.GetValue())
	}
	if group := s.GetRunAsGroup(); group != nil {
		user += fmt.Sprintf(":%d", group.GetValue())
	}
	return user
}

// seccompOf is the seccomp profile: the field's, else the one that the
// deprecated field spells. Where that is empty as well the API says "identical
// with unconfined" (cri-api, seccomp_profile_path).
func seccompOf(s *runtimeapi.LinuxContainerSecurityContext) *runtimeapi.SecurityProfile {
	if s.GetSeccomp() != nil {
		return s.GetSeccomp()
	}
	//lint:ignore SA1019 older kubelets set nothing else
	return spelledProfile(cmp.Or(s.GetSeccompProfilePath(), "unconfined"))
}

func apparmorOf(s *runtimeapi.LinuxContainerSecurityContext) *runtimeapi.SecurityProfile {
	if s.GetApparmor() != nil {
		return s.GetApparmor()
	}
	//lint:ignore SA1019 older kubelets set nothing else
	return spelledProfile(s.GetApparmorProfile())
}

// spelledProfile reads "runtime/default", "unconfined" and "localhost/NAME".
func spelledProfile(text string) *runtimeapi.SecurityProfile {
	p := &runtimeapi.SecurityProfile{ProfileType: runtimeapi.SecurityProfile_RuntimeDefault}
	if text == "unconfined" {
		p.ProfileType = runtimeapi.SecurityProfile_Unconfined
	}
	if name, ok := strings.CutPrefix(text, "localhost/"); ok {
		p.ProfileType, p.LocalhostRef = runtimeapi.SecurityProfile_Localhost, name
	}
	return p
}

var propagations = map[runtimeapi.MountPropagation]docker.Propagation{
	runtimeapi.MountPropagation_PROPAGATION_PRIVATE:           docker.PropagationPrivate,
	runtimeapi.MountPropagation_PROPAGATION_HOST_TO_CONTAINER: docker.PropagationToContainer,
	runtimeapi.MountPropagation_PROPAGATION_BIDIRECTIONAL:     docker.PropagationBidirectional,
}

func mountPoints(mounts []*runtimeapi.Mount) []docker.MountPoint {
	var points []docker.MountPoint
	for _, m := range mounts {
		points = append(points, docker.MountPoint{
			ContainerPath:     m.GetContainerPath(),
			HostPath:          m.GetHostPath(),
			Image:             m.GetImage().GetImage(),
			ImageSubpath:      m.GetImageSubPath(),
			ReadOnly:          m.GetReadonly(),
			RecursiveReadOnly: m.GetRecursiveReadOnly(),
			Propagation:       propagations[m.GetPropagation()],
			RelabelSELinux:    m.GetSelinuxRelabel(),
		})
	}
	return points
}

// limitsOf is the part of the resources that Docker sets itself; for the rest
// see container_cgroup.go.
func limitsOf(r *runtimeapi.LinuxContainerResources) docker.Resources {
	return docker.Resources{
		CPUShares:   r.GetCpuShares(),
		CPUPeriod:   r.GetCpuPeriod(),
		CPUQuota:    r.GetCpuQuota(),
		CpusetCPUs:  r.GetCpusetCpus(),
		CpusetMems:  r.GetCpusetMems(),
		Memory:      r.GetMemoryLimitInBytes(),
		MemorySwap:  r.GetMemorySwapLimitInBytes(),
		OOMScoreAdj: int(r.GetOomScoreAdj()),
	}
}
