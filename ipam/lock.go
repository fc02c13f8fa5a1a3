package ipam

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/mascri/mascri/spec"
)

// lockTimeout bounds the wait for other commands on the network. One takes
// well under a millisecond; the longest, reading 60,000 leases anew, a second.
// A variable, so that a test need not wait as long.
var lockTimeout = 15 * time.Second

// acquire takes the network's lock: flock(2) on the file that host-local
// locks too. The kernel frees it when the process ends, however it ends. The
// error is fs.ErrNotExist where the network has no directory, or none any more.
func acquire(ctx context.Context, path string) (*os.File, error) {
	ctx, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	for {
		file, err := os.OpenFile(path, os.O_RDONLY|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
		if err != nil {
			return nil, err
		}
		if err := wait(ctx, file); err != nil {
			return nil, err
		}
		if same(file, path) {
			return file, nil
		}
		// The directory was removed while we waited, and perhaps made anew:
		// what we hold is the lock of nothing.
		file.Close()
	}
}

func same(file *os.File, path string) bool {
	held, err := file.Stat()
	if err != nil {
		return false
	}
	current, err := os.Lstat(path)
	return err == nil && os.SameFile(held, current)
}

// wait blocks in the kernel, which wakes waiters in their order, and gives up
// when the context ends. The file is closed unless the lock is held.
func wait(ctx context.Context, file *os.File) error {
	fd := int(file.Fd())
	if err := syscall.Flock(fd, syscall.LOCK_EX|syscall.LOCK_NB); err == nil {
		return nil
	}
	granted := make(chan error, 1)
	go func() {
		err := syscall.Flock(fd, syscall.LOCK_EX)
		for err == syscall.EINTR {
			err = syscall.Flock(fd, syscall.LOCK_EX)
		}
		granted <- err
	}()
	select {
	case err := <-granted:
		if err != nil {
			return errors.Join(fmt.Errorf("flock %s: %w", file.Name(), err), file.Close())
		}
		return nil
	case <-ctx.Done():
		holder := lockHolder(file)
		go func() { // flock cannot be called off: let go of the lock once it comes
			<-granted
			file.Close()
		}()
		return spec.Errorf(spec.TryAgain, "lock %s: %w: %s has it; try again, and end that process if it is stuck", file.Name(), ctx.Err(), holder)
	}
}

// lockHolder looks up in /proc/locks (proc_locks(5)) who keeps us waiting:
// "1: FLOCK  ADVISORY  WRITE 4711 fe:00:131098 0 EOF".
func lockHolder(file *os.File) string {
	const unknown = "another process"
	info, err := file.Stat()
	stat, ok := sysStat(info)
	locks, readErr := os.ReadFile("/proc/locks")
	if err != nil || !ok || readErr != nil {
		return unknown
	}
	inode := fmt.Sprintf(":%d", stat.Ino)
	for line := range strings.Lines(string(locks)) {
		words := strings.Fields(line)
		if len(words) > 5 && words[1] == "FLOCK" && strings.HasSuffix(words[5], inode) {
			name, err := os.ReadFile(filepath.Join("/proc", words[4], "comm"))
			if err != nil {
				return "process " + words[4]
			}
			return "process " + words[4] + " (" + strings.TrimSpace(string(name)) + ")"
		}
	}
	return unknown
}

func sysStat(info fs.FileInfo) (*syscall.Stat_t, bool) {
	if info == nil {
		return nil, false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return stat, ok
}
