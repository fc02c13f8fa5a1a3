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

// lab is a host of one row: a thread in namespaces of its own, and one for each
// pod. No thread ever changes into a namespace that it did not make (setns(2)):
// what is to happen in a namespace happens on its thread.
type lab struct {
	host *thread
	pods map[string]*thread // by path
	made int
}

// thread is an OS thread that stays in the namespaces that it makes. Children
// that it starts inherit them. It is never unlocked, so it ends with its
// goroutine and takes the namespaces along.
type thread struct{ work chan func() }

// newThread starts one; setUp makes its namespaces.
func newThread(setUp func() error) (*thread, error) {
	t := &thread{make(chan func())}
	ready := make(chan error)
	go t.serve(setUp, ready)
	if err := <-ready; err != nil {
		t.end()
		return nil, err
	}
	return t, nil
}

func (t *thread) serve(setUp func() error, ready chan<- error) {
	runtime.LockOSThread()
	if unix.Gettid() == os.Getpid() {
		// The runtime never ends the main thread, and its namespaces would stay.
		// While this goroutine holds it, another one gets another thread.
		done := make(chan struct{})
		go func() { defer close(done); t.serve(setUp, ready) }()
		<-done
		runtime.UnlockOSThread()
		return
	}
	ready <- setUp()
	for f := range t.work {
		f()
	}
}

func (t *thread) do(f func() error) error {
	done := make(chan error)
	t.work <- func() { done <- f() }
	return <-done
}

func (t *thread) end() { close(t.work) }

// newHost makes the namespaces; binDir stays visible under its own path.
func newHost(binDir string) (host, error) {
	host, err := newThread(func() error { return setUp(binDir) })
	if err != nil {
		return nil, err
	}
	return &lab{host: host, pods: map[string]*thread{}}, nil
}

func setUp(binDir string) error {
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

func (l *lab) start(cmd *exec.Cmd) error { return l.host.do(cmd.Start) }

func (l *lab) do(path string, f func() error) error {
	if path == "" {
		return l.host.do(f)
	}
	pod, ok := l.pods[path]
	if !ok {
		return fmt.Errorf("look into network namespace %s: it is gone", path)
	}
	return pod.do(f)
}

func (l *lab) newPod() (string, error) {
	l.made++
	path := filepath.Join(podDir, "pod-"+strconv.Itoa(l.made))
	netns := -1
	pod, err := newThread(func() (err error) {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		netns, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("make network namespace %s: %w", path, err)
	}
	l.pods[path] = pod
	defer unix.Close(netns)
	if err := l.host.do(func() error { return pin(netns, path) }); err != nil {
		return "", fmt.Errorf("pin network namespace %s: %w", path, err)
	}
	return path, nil
}

// pin gives a namespace a path, as container runtimes do.
func pin(netns int, path string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL, 0o444)
	if err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	return unix.Mount("/proc/thread-self/fd/"+strconv.Itoa(netns), path, "", unix.MS_BIND, "")
}

func (l *lab) removePod(path string) error {
	l.pods[path].end()
	delete(l.pods, path)
	err := l.host.do(func() error {
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

func (l *lab) close() {
	for _, pod := range l.pods {
		pod.end()
	}
	l.host.end()
}
