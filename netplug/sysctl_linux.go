package netplug

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// errNoIPv6 says that the kernel was started without IPv6.
var errNoIPv6 = errors.New("the kernel has no IPv6 (ipv6.disable=1?)")

const sysctlRoot = "/proc/sys"

// setSysctl writes a sysctl that does not have the value yet. /proc/sys/net
// shows the namespace of the calling thread.
func setSysctl(key, value string) error {
	present, err := getSysctl(key)
	if err != nil || present == value {
		return err
	}
	fd, err := openSysctl(key, unix.O_WRONLY)
	if err != nil {
		return fmt.Errorf("open sysctl %s: %w", key, err)
	}
	_, err = unix.Write(fd, []byte(value))
	if err = errors.Join(err, unix.Close(fd)); err != nil {
		return fmt.Errorf("set sysctl %s=%s: %w", key, value, err)
	}
	return nil
}

func getSysctl(key string) (string, error) {
	fd, err := openSysctl(key, unix.O_RDONLY)
	if errors.Is(err, os.ErrNotExist) && strings.HasPrefix(key, "net/ipv6/") && !hasIPv6Stack() {
		return "", errNoIPv6
	}
	if err != nil {
		return "", fmt.Errorf("read sysctl %s: %w", key, err)
	}
	var text [maxSysctl]byte
	n, err := unix.Read(fd, text[:])
	if err = errors.Join(err, unix.Close(fd)); err != nil {
		return "", fmt.Errorf("read sysctl %s: %w", key, err)
	}
	return strings.TrimSpace(string(text[:n])), nil
}

// maxSysctl is more than any of the values here has, in bytes.
const maxSysctl = 128

// openSysctl does without os.File, which would tell the poller of each: three
// times the work of reading it.
func openSysctl(key string, flags int) (fd int, err error) {
	return unix.Open(filepath.Join(sysctlRoot, key), flags|unix.O_CLOEXEC, 0)
}

func hasIPv6Stack() bool {
	_, err := os.Stat(sysctlRoot + "/net/ipv6")
	return err == nil
}

// checkSysctl compares one sysctl.
func checkSysctl(key, want string) error {
	got, err := getSysctl(key)
	if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("sysctl %s is %s, expected %s", key, got, want)
	}
	return nil
}
