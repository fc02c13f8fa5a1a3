package cri

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mascri/mascri/cri/docker"
)

// settleGroups has the process get the groups that the policy names. Docker
// adds those that the image's /etc/group lists the user in exactly when it is
// told no group with the user (moby, daemon/oci_linux.go:getUser). So a group
// has to be found for the strict policy, and the groups where both are wanted.
func (c *containers) settleGroups(ctx context.Context, wanted *docker.Security, s *runtimeapi.LinuxContainerSecurityContext, image docker.Image) error {
	user := cmp.Or(wanted.User, image.User, "0")
	name, _, told := strings.Cut(user, ":")
	strict := s.GetSupplementalGroupsPolicy() == runtimeapi.SupplementalGroupsPolicy_Strict
	if told == strict {
		return nil
	}
	account, err := c.engine.LookupUser(ctx, image.ID, cmp.Or(name, "0"))
	if err != nil {
		return fmt.Errorf("config.linux.security_context: find the groups of user %s: %w", user, err)
	}
	if strict {
		wanted.User = fmt.Sprintf("%s:%d", user, account.GID)
		return nil
	}
	for _, group := range account.Groups {
		wanted.SupplementalGroups = append(wanted.SupplementalGroups, int64(group))
	}
	return nil
}
