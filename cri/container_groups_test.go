//go:build linux

package cri

import (
	"slices"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mascri/mascri/cri/docker"
)

// Docker is asked in such a way that the process gets the groups that the policy
// names; where it does so by itself, nothing is looked up.
func TestGroupsByPolicy(t *testing.T) {
	merge, strict := runtimeapi.SupplementalGroupsPolicy_Merge, runtimeapi.SupplementalGroupsPolicy_Strict
	for name, test := range map[string]struct {
		image    string // its USER
		security *runtimeapi.LinuxContainerSecurityContext
		user     string
		groups   []int64
	}{
		"merge, a user":              {"", asked(merge, 7, -1), "7", []int64{9}},
		"merge, a user and a group":  {"", asked(merge, 7, 8), "7:8", []int64{9, 31, 32}},
		"merge, the image's":         {"web:web", asked(merge, -1, -1), "", []int64{9, 31, 32}},
		"strict, a user":             {"web:web", asked(strict, 7, -1), "7:30", []int64{9}},
		"strict, a user and a group": {"", asked(strict, 7, 8), "7:8", []int64{9}},
		"strict, the image's":        {"web", asked(strict, -1, -1), "web:30", []int64{9}},
		"strict, the image's group":  {"web:web", asked(strict, -1, -1), "", []int64{9}},
		"strict, nobody":             {"", asked(strict, -1, -1), "0:30", []int64{9}},
	} {
		t.Run(name, func(t *testing.T) {
			b, engine := newContainerBench(t)
			engine.image.User = test.image
			config := goodContainer("c")
			config.Linux = &runtimeapi.LinuxContainerConfig{SecurityContext: test.security}
			if _, err := b.create(b.mustRun(goodPod("web")), config); err != nil {
				t.Fatal(err)
			}
			if got := engine.wanted.Security; got.User != test.user || !slices.Equal(got.SupplementalGroups, test.groups) {
				t.Errorf("the engine was asked for user %q and groups %v, want %q and %v", got.User, got.SupplementalGroups, test.user, test.groups)
			}
		})
	}
}

// asked is a security context with the supplemental group 9; -1 leaves out.
func asked(policy runtimeapi.SupplementalGroupsPolicy, user, group int64) *runtimeapi.LinuxContainerSecurityContext {
	s := &runtimeapi.LinuxContainerSecurityContext{SupplementalGroupsPolicy: policy, SupplementalGroups: []int64{9}}
	if user >= 0 {
		s.RunAsUser = &runtimeapi.Int64Value{Value: user}
	}
	if group >= 0 {
		s.RunAsGroup = &runtimeapi.Int64Value{Value: group}
	}
	return s
}

// A user that the image does not have is the caller's mistake.
func TestGroupsOfAnUnknownUser(t *testing.T) {
	b, engine := newContainerBench(t)
	engine.fail("look up user", docker.ErrInvalid)
	config := goodContainer("c")
	config.Linux = &runtimeapi.LinuxContainerConfig{SecurityContext: asked(runtimeapi.SupplementalGroupsPolicy_Strict, 7, -1)}
	if _, err := b.create(b.mustRun(goodPod("web")), config); status.Code(err) != codes.InvalidArgument {
		t.Errorf("CreateContainer = %v", err)
	}
}
