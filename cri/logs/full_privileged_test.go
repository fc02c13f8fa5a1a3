//go:build privileged && linux

package logs

import (
	"errors"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// On a full disk, lines wait in Docker's log. A batch that was written in part
// is completed, not repeated, once there is room.
func TestFullDiskLosesAndDoublesNothing(t *testing.T) {
	// Never unlocked: the thread, and with it the mount, ends with the test.
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		t.Fatalf("make a mount namespace (this test needs CAP_SYS_ADMIN): %v", err)
	}
	must(t, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	p := newPod(t)
	disk := t.TempDir()
	must(t, unix.Mount("tmpfs", disk, "tmpfs", 0, "size=128k"))
	t.Cleanup(func() { must(t, unix.Unmount(disk, unix.MNT_DETACH)) })
	p.Path = filepath.Join(disk, "0.log")

	want := p.write(3000)
	log := p.open()
	for range 3 {
		if err := log.pump(t.Context()); !errors.Is(err, unix.ENOSPC) {
			t.Fatalf("pump on a full disk: %v, want ENOSPC", err)
		}
	}
	if err := log.reopen(); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("reopen with a batch cut in two: %v, want ENOSPC", err)
	}
	must(t, unix.Mount("tmpfs", disk, "tmpfs", unix.MS_REMOUNT, "size=4m"))
	must(t, log.pump(t.Context()))
	p.check(want)
}
