package conformance

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// lab is a host of one row: an OS thread in namespaces of its own. Children
// that the thread starts inherit them. The thread is never unlocked, so it
// ends with its goroutine and takes the namespaces along.
//
// This is the only file that changes the namespace of a thread.
type lab struct {
	work  chan func()
	netns int // the host's, to come back to from a pod's
	pods  int
}

// newHost makes the namespaces; binDir stays visible under its own path.
func newHost(binDir string) (host, error) {
	l := &lab{work: make(chan func())}
	ready := make(chan error)
	go l.serve(binDir, ready)
	if err := <-ready; err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func (l *lab) serve(binDir string, ready chan<- error) {
	runtime.LockOSThread()
	ready <- l.setUp(binDir)
	for f := range l.work {
		f()
	}
	if l.netns > 0 {
		unix.Close(l.netns)
	}
}

func (l *lab) setUp(binDir string) error {
	if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_NEWNET); err != nil {
		if errors.Is(err, unix.EPERM) {
			return ErrUnprivileged
		}
		return fmt.Errorf("unshare network and mount namespace: %w", err)
	}
	// Without this our mounts would propagate to the real host.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make the mounts private: %w", err)
	}
	if err := hideDirs(binDir); err != nil {
		return err
	}
	// A sysfs shows the network namespace it was mounted in, and some plugins
	// read /sys/class/net. A user namespace may be refused a new one; the old
	// one is then the best there is.
	if err := unix.Mount("sysfs", "/sys", "sysfs", 0, ""); err != nil && !errors.Is(err, unix.EPERM) {
		return fmt.Errorf("mount sysfs: %w", err)
	}
	netns, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open the host's network namespace: %w", err)
	}
	l.netns = netns
	return setLinkUp("lo")
}

// hideDirs mounts an empty directory over each private one, and the plugins'
// over its old place should that be below one of them.
func hideDirs(binDir string) error {
	bin, err := unix.Open(binDir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", binDir, err)
	}
	defer unix.Close(bin)
	for _, dir := range privateDirs {
		if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=1777"); err != nil {
			return fmt.Errorf("mount an empty directory on %s: %w", dir, err)
		}
	}
	for _, dir := range []string{podDir, standInDir} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("make the suite's directory: %w", err)
		}
	}
	if _, err := os.Stat(binDir); err == nil {
		return nil
	}
	if err := os.MkdirAll(binDir, 0o755); err != nil {
		return fmt.Errorf("make a mount point for the plugins: %w", err)
	}
	if err := unix.Mount("/proc/self/fd/"+strconv.Itoa(bin), binDir, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind the plugins to %s: %w", binDir, err)
	}
	return nil
}

func (l *lab) start(cmd *exec.Cmd) error {
	return l.do("", cmd.Start)
}

func (l *lab) do(path string, f func() error) error {
	done := make(chan error)
	l.work <- func() {
		if path == "" {
			done <- f()
			return
		}
		done <- l.inNamespace(path, f)
	}
	return <-done
}

func (l *lab) inNamespace(path string, f func() error) error {
	target, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open network namespace %s: %w", path, err)
	}
	defer unix.Close(target)
	if err := unix.Setns(target, unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter network namespace %s: %w", path, err)
	}
	return errors.Join(f(), l.comeBack())
}

// comeBack returns the thread to the host's namespace. Everything after it
// would run in a wrong one if that did not work.
func (l *lab) comeBack() error {
	if err := unix.Setns(l.netns, unix.CLONE_NEWNET); err != nil {
		panic(fmt.Sprintf("return to the host's network namespace: %v", err))
	}
	return nil
}

func (l *lab) newPod() (string, error) {
	l.pods++
	path := filepath.Join(podDir, "pod-"+strconv.Itoa(l.pods))
	err := l.do("", func() error {
		file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL, 0o444)
		if err != nil {
			return err
		}
		if err := file.Close(); err != nil {
			return err
		}
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("unshare: %w", err)
		}
		err = unix.Mount("/proc/thread-self/ns/net", path, "", unix.MS_BIND, "")
		return errors.Join(err, l.comeBack())
	})
	if err != nil {
		return "", fmt.Errorf("make network namespace %s: %w", path, err)
	}
	return path, nil
}

func (l *lab) removePod(path string) error {
	err := l.do("", func() error {
		if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
			return err
		}
		return os.Remove(path)
	})
	if err != nil {
		return fmt.Errorf("remove network namespace %s: %w", path, err)
	}
	return nil
}

func (l *lab) close() { close(l.work) }
