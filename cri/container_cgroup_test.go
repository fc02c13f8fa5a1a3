package cri

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/proto"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mascri/mascri/cri/docker"
)

// Both versions have a file a page size. What is there now is what the status
// tells, what is gone stays as it was asked for.
func TestOwnGroup(t *testing.T) {
	for file, group := range map[string]ownGroup{
		"hugetlb.2MB.limit_in_bytes": {v1: t.TempDir()},
		"hugetlb.2MB.max":            {v2: t.TempDir()},
	} {
		path := filepath.Join(group.v1+group.v2, file)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		asked := &runtimeapi.LinuxContainerResources{HugepageLimits: []*runtimeapi.HugepageLimit{{PageSize: "2MB", Limit: 4 << 20}, {PageSize: "1GB"}}}
		if err := group.write(asked); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		if text, err := os.ReadFile(path); err != nil || string(text) != "4194304" {
			t.Errorf("%s holds %q, %v", file, text, err)
		}
		if err := os.WriteFile(path, []byte("6291456\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		now := proto.CloneOf(asked)
		if group.read(now); now.HugepageLimits[0].GetLimit() != 6<<20 || now.HugepageLimits[1].GetLimit() != 0 {
			t.Errorf("%s: read as %v", file, now)
		}
		if asked.HugepageLimits[0].GetLimit() != 4<<20 {
			t.Errorf("%s: reading changed what was asked: %v", file, asked)
		}
	}
	asked := &runtimeapi.LinuxContainerResources{HugepageLimits: []*runtimeapi.HugepageLimit{{PageSize: "2MB"}}}
	if err := (ownGroup{}).write(asked); err != nil {
		t.Errorf("no limit where nothing limits: %v", err)
	}
	asked.HugepageLimits[0].Limit = 2 << 20
	if err := (ownGroup{}).write(asked); !errors.Is(err, docker.ErrUnsupported) {
		t.Errorf("a limit where nothing limits: %v", err)
	}
}
