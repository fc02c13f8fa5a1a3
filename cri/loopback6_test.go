package cri

import (
	"os"
	"testing"

	"github.com/mascri/mascri/cri/docker"
)

func TestLoopback6(t *testing.T) {
	const key = "net.ipv6.conf.lo.disable_ipv6"
	if _, err := os.Stat("/proc/sys/net/ipv6"); err != nil {
		t.Skip("this kernel has no IPv6")
	}
	asked := map[string]string{"net.ipv4.ip_forward": "0"}
	for name, test := range map[string]struct {
		spec   docker.SandboxSpec
		remote bool
		want   bool
	}{
		"a namespace of its own": {docker.SandboxSpec{Network: docker.Private}, false, true},
		"with other settings":    {docker.SandboxSpec{Network: docker.Private, Sysctls: asked}, false, true},
		"the host's":             {docker.SandboxSpec{Network: docker.Host}, false, false},
		"the pod's own wish":     {docker.SandboxSpec{Network: docker.Private, Sysctls: map[string]string{"net/ipv6/conf/all/disable_ipv6": "1"}}, false, false},
		"another machine's":      {docker.SandboxSpec{Network: docker.Private}, true, false},
	} {
		s := &Server{config: Config{RemoteEngine: test.remote}}
		before := len(test.spec.Sysctls)
		s.loopback6(&test.spec)
		if got := test.spec.Sysctls[key] == "0"; got != test.want || got && len(test.spec.Sysctls) != before+1 {
			t.Errorf("%s: %v", name, test.spec.Sysctls)
		}
	}
	if len(asked) != 1 {
		t.Error("the pod's own configuration was changed")
	}
}
