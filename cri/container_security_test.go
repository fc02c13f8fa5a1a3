package cri

import (
	"testing"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mascri/mascri/cri/docker"
)

// A security context that names no profile means two different things: no
// seccomp at all, and the engine's AppArmor profile (cri-api, api.proto).
func TestProfilesOfOldAndNewFields(t *testing.T) {
	for name, test := range map[string]struct {
		asked             *runtimeapi.LinuxContainerSecurityContext
		seccomp, apparmor docker.Profile
	}{
		"nothing": {
			asked:   &runtimeapi.LinuxContainerSecurityContext{},
			seccomp: docker.Profile{Kind: docker.UnconfinedProfile},
		},
		"the deprecated fields": {
			asked: &runtimeapi.LinuxContainerSecurityContext{
				//lint:ignore SA1019 older kubelets set nothing else
				SeccompProfilePath: "runtime/default", ApparmorProfile: "localhost/tight",
			},
			apparmor: docker.Profile{Kind: docker.LocalhostProfile, Localhost: "tight"},
		},
		"both": {
			asked: &runtimeapi.LinuxContainerSecurityContext{
				Seccomp:  &runtimeapi.SecurityProfile{ProfileType: runtimeapi.SecurityProfile_Localhost, LocalhostRef: "/p.json"},
				Apparmor: &runtimeapi.SecurityProfile{ProfileType: runtimeapi.SecurityProfile_Unconfined},
				//lint:ignore SA1019 older kubelets set nothing else
				SeccompProfilePath: "unconfined", ApparmorProfile: "localhost/tight",
			},
			seccomp:  docker.Profile{Kind: docker.LocalhostProfile, Localhost: "/p.json"},
			apparmor: docker.Profile{Kind: docker.UnconfinedProfile},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := containerSecurity(test.asked)
			if got.Seccomp != test.seccomp || got.AppArmor != test.apparmor {
				t.Errorf("seccomp %+v, AppArmor %+v", got.Seccomp, got.AppArmor)
			}
		})
	}
}
