//go:build e2e && linux

package test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// The first process, a later command and the status agree on the groups, and
// these are the policy's: the image lists user 1000 in the group 50000.
func TestSupplementalGroups(t *testing.T) {
	importImage(t)
	n := newNode(t)
	pod := n.run(containerPod("groups", filepath.Join(n.dir, "pods")))
	merge, strict := runtimeapi.SupplementalGroupsPolicy_Merge, runtimeapi.SupplementalGroupsPolicy_Strict
	for name, test := range map[string]struct {
		policy runtimeapi.SupplementalGroupsPolicy
		group  *runtimeapi.Int64Value
		gid    int64
		others []int64
	}{
		"merge":             {merge, nil, 1000, []int64{1234, 50000}},
		"merge-with-group":  {merge, &runtimeapi.Int64Value{Value: 2000}, 2000, []int64{1234, 50000}},
		"strict":            {strict, nil, 1000, []int64{1234}},
		"strict-with-group": {strict, &runtimeapi.Int64Value{Value: 2000}, 2000, []int64{1234}},
	} {
		t.Run(name, func(t *testing.T) {
			id := n.runContainer(pod, shellContainer(name, "id -G; sleep 1000", func(c *runtimeapi.ContainerConfig) {
				c.Linux.SecurityContext = &runtimeapi.LinuxContainerSecurityContext{
					RunAsUser: &runtimeapi.Int64Value{Value: 1000}, RunAsGroup: test.group,
					SupplementalGroups: []int64{1234}, SupplementalGroupsPolicy: test.policy,
				}
			}))
			want := strings.Trim(fmt.Sprint(append([]int64{test.gid}, test.others...)), "[]")
			if got := n.execSync(id, "id -G"); got != want {
				t.Errorf("groups of a command: %s, want %s", got, want)
			}
			status := n.containerStatus(id)
			eventually(t, func() error {
				log, err := os.ReadFile(status.GetLogPath())
				if err == nil && !strings.HasSuffix(string(log), " stdout F "+want+"\n") {
					err = fmt.Errorf("groups of the first process: %q, want %s", log, want)
				}
				return err
			})
			user := status.GetUser().GetLinux()
			groups := slices.DeleteFunc(slices.Clone(user.GetSupplementalGroups()), func(gid int64) bool { return gid == test.gid })
			if user.GetUid() != 1000 || user.GetGid() != test.gid || !slices.Equal(groups, test.others) {
				t.Errorf("the status has %v", user)
			}
		})
	}
}
