package netplug

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// errNoIPv6 says that the kernel was started without IPv6, or that a link has none.
var errNoIPv6 = errors.New("there is no IPv6")

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
	if errors.Is(err, os.ErrNotExist) {
		err = errors.Join(withoutIPv6(key), err)
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

// withoutIPv6 explains why a sysctl of IPv6 is missing. A link of an MTU that is
// too small for IPv6 has none (IPV6_MIN_MTU in net/ipv6/addrconf.c).
func withoutIPv6(key string) error {
	link, isIPv6 := strings.CutPrefix(filepath.Dir(key), "net/ipv6/conf/")
	if !isIPv6 {
		return nil
	}
	if _, err := os.Stat(sysctlRoot + "/net/ipv6"); err != nil {
		return fmt.Errorf("%w: the kernel was started without (ipv6.disable=1?)", errNoIPv6)
	}
	if _, err := os.Stat(sysctlRoot + "/net/ipv6/conf/" + link); err != nil {
		return fmt.Errorf("%w on %s: an MTU below 1280 is too small for it", errNoIPv6, link)
	}
	return nil
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
