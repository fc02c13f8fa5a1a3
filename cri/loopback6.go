package cri

import (
	"maps"
	"os"
	"strings"

	"github.com/mascri/mascri/cri/docker"
)

// loopback6 gives a pod ::1, as it has it under other runtimes, and as the
// /etc/hosts that the kubelet writes says of localhost. Docker before 26 turns IPv6
// off on lo as well, in a namespace for which it has no IPv6 network
// (moby/moby#47062). What the pod itself asks for counts, and a kernel without IPv6
// has no such setting.
func (s *Server) loopback6(wanted *docker.SandboxSpec) {
	if s.config.RemoteEngine || wanted.Network != docker.Private {
		return
	}
	for name := range wanted.Sysctls {
		if strings.HasSuffix(name, "disable_ipv6") {
			return
		}
	}
	if _, err := os.Stat("/proc/sys/net/ipv6"); err != nil {
		return
	}
	sysctls := map[string]string{"net.ipv6.conf.lo.disable_ipv6": "0"}
	maps.Copy(sysctls, wanted.Sysctls)
	wanted.Sysctls = sysctls
}
