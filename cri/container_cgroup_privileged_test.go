//go:build privileged && linux

package cri

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// newGroup makes a control group of version 2, in a mount that only this test's
// thread sees.
func newGroup(t *testing.T) string {
	t.Helper()
	runtime.LockOSThread() // for good: the thread ends with the test
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	at := t.TempDir()
	if err := unix.Mount("cgroup2", at, "cgroup2", 0, ""); errors.Is(err, unix.EPERM) {
		t.Skip("a user namespace mounts no control groups but those of its own cgroup namespace")
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(at, 0); err != nil {
			t.Error(err)
		}
	})
	group, err := os.MkdirTemp(at, "mascri-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Remove(group); err != nil {
			t.Error(err)
		}
	})
	return group
}

// The kernel takes the limits, and what it makes of them is read back. A page
// size that nothing limits, as on a kernel without that controller, may have the
// limit of 0 that the kubelet sends for each, and no other.
func TestOwnGroupOfAKernel(t *testing.T) {
	group := ownGroup{v2: newGroup(t)}
	r := &runtimeapi.LinuxContainerResources{
		Unified:        map[string]string{"cgroup.max.depth": "007"},
		HugepageLimits: []*runtimeapi.HugepageLimit{{PageSize: "3MB"}},
	}
	if err := group.write(r); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(group.v2, "cgroup.max.depth")); err != nil || string(text) != "7\n" {
		t.Errorf("the kernel holds %q, %v", text, err)
	}
	if group.read(r); r.GetUnified()["cgroup.max.depth"] != "7" {
		t.Errorf("read as %v", r)
	}
	r.HugepageLimits[0].Limit = 3 << 20
	if err := group.write(r); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a limit that nothing keeps: %v", err)
	}
}
