package netns

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// threadNS is the calling thread's own namespace. /proc/self would be the main
// thread's, which need not be the same.
const threadNS = "/proc/thread-self/ns/net"

// errGoexit is what the caller sees when f left by runtime.Goexit, as
// testing.T.FailNow does.
var errGoexit = errors.New("the function ended its goroutine")

// Do runs f with the network namespace at path as the current one and returns
// f's error. path is a file of nsfs: /proc/PID/ns/net, /proc/PID/fd/N, or a
// bind mount of one.
//
// f runs on a thread of its own: the caller's thread never changes namespace,
// even when going back fails. Goroutines that f starts are outside the
// namespace again, so f must do its system calls itself. Do needs CAP_SYS_ADMIN
// over the namespace (setns(2)).
func Do(path string, f func() error) error {
	target, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open network namespace: %w", err)
	}
	// A read-only descriptor: closing it can lose nothing.
	defer func() { _ = target.Close() }()

	done := make(chan error, 1)
	go func() {
		result := errGoexit
		defer func() { done <- result }()
		result = enter(target, f)
	}()
	if err := <-done; err != nil {
		return fmt.Errorf("in network namespace %s: %w", path, err)
	}
	return nil
}

// enter moves the current thread into target, runs f and moves it back. When
// going back fails the thread stays locked, so that the runtime destroys it
// with its goroutine instead of giving it, in the wrong namespace, to another.
func enter(target *os.File, f func() error) error {
	runtime.LockOSThread()
	home, err := os.Open(threadNS)
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("remember the thread's namespace: %w", err)
	}
	defer func() { _ = home.Close() }()

	if err := unix.Setns(int(target.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("setns: %w", err)
	}
	// Deferred, so that a thread is never left inside by a panic or Goexit.
	defer func() {
		if unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
	}()
	return f()
}
