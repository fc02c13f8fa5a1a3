package podnet

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// maxStacked bounds how many mounts on one path are taken off; a pin that was
// made again after a crash has two.
const maxStacked = 16

// pinNamespace bind-mounts the namespace at netns on path. A namespace that is
// pinned there already stays.
func pinNamespace(netns, path string) error {
	if !isNamespace(netns) {
		return fmt.Errorf("%s is no namespace of this mount namespace", netns)
	}
	if err := shareDir(filepath.Dir(path)); err != nil {
		return err
	}
	if isNamespace(path) {
		if same, err := sameFile(netns, path); err != nil || same {
			return err
		}
		if err := unpinNamespace(path); err != nil {
			return err
		}
	}
	// A file to mount on; one that a crash left behind will do.
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY, 0o400)
	if err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	if err := unix.Mount(netns, path, "", unix.MS_BIND, ""); err != nil {
		return errors.Join(fmt.Errorf("mount --bind %s %s: %w", netns, path, err), os.Remove(path))
	}
	return nil
}

// shareDir makes sure that the directory of the pins lies on a shared mount, as
// ip-netns(8) does for /run/netns: otherwise a mount namespace that is cloned
// later (each systemd service with PrivateMounts has one) would hold its own
// copy of every pin, which no umount of ours reaches, and keep dead namespaces
// alive. Where the mount is shared already, as /run mostly is, pins also reach
// the host out of a container that the directory was handed to.
func shareDir(dir string) error {
	shared, err := onSharedMount(dir)
	if err != nil || shared {
		return err
	}
	if err := unix.Mount(dir, dir, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("mount --rbind %s %s: %w", dir, dir, err)
	}
	if err := unix.Mount("", dir, "", unix.MS_SHARED|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("mount --make-rshared %s: %w", dir, err)
	}
	return nil
}

// onSharedMount tells whether the mount that holds a directory propagates what
// is mounted in it. Fields of mountinfo, see proc_pid_mountinfo(5): the fifth is
// the mount point, and optional ones such as "shared:1" follow from the seventh
// on, up to a dash.
func onSharedMount(dir string) (shared bool, err error) {
	dir, err = filepath.EvalSymlinks(dir)
	if err != nil {
		return false, err
	}
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return false, err
	}
	longest := -1
	for line := range strings.Lines(string(table)) {
		fields := strings.Fields(line)
		if len(fields) < 7 || !within(fields[4], dir) || len(fields[4]) < longest {
			continue
		}
		// Of two mounts on one point the later covers the earlier.
		longest = len(fields[4])
		options, _, _ := strings.Cut(strings.Join(fields[6:], " "), " - ")
		shared = strings.HasPrefix(options, "shared:") || strings.Contains(options, " shared:")
	}
	return shared, nil
}

// within tells whether path is point or below it. A point with a space in its
// name is escaped in mountinfo and matches nothing; its parent's answer is used.
func within(point, path string) bool {
	return point == "/" || path == point || strings.HasPrefix(path, point+"/")
}

// unpinNamespace removes the mounts on path, and path. Lazily: whoever still
// has the file open keeps the namespace, but not the name.
func unpinNamespace(path string) error {
	for range maxStacked {
		err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
			break // not, or no longer, a mount point
		}
		if err != nil {
			return fmt.Errorf("umount %s: %w", path, err)
		}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// unshareDir takes back what shareDir mounted, once no pin is left.
func unshareDir(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) > 0 {
		return err
	}
	err = unix.Unmount(dir, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	if err != nil && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("umount %s: %w", dir, err)
	}
	return nil
}

// isNamespace tells whether path is a file of nsfs, the file system of
// namespaces (NSFS_MAGIC in linux/magic.h).
func isNamespace(path string) bool {
	var fs unix.Statfs_t
	return unix.Statfs(path, &fs) == nil && fs.Type == unix.NSFS_MAGIC
}

// sameFile tells whether two paths are one namespace: its inode number is its
// identity (namespaces(7)).
func sameFile(a, b string) (bool, error) {
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	if err := errors.Join(errA, errB); err != nil {
		return false, err
	}
	return os.SameFile(infoA, infoB), nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
