package netplug

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
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
	// Without O_CREATE and O_TRUNC: these are not files.
	f, err := os.OpenFile(filepath.Join(sysctlRoot, key), os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("open sysctl %s: %w", key, err)
	}
	_, err = f.WriteString(value)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("set sysctl %s=%s: %w", key, value, err)
	}
	return nil
}

func getSysctl(key string) (string, error) {
	text, err := os.ReadFile(filepath.Join(sysctlRoot, key))
	if errors.Is(err, os.ErrNotExist) && strings.HasPrefix(key, "net/ipv6/") && !hasIPv6Stack() {
		return "", errNoIPv6
	}
	if err != nil {
		return "", fmt.Errorf("read sysctl %s: %w", key, err)
	}
	return strings.TrimSpace(string(text)), nil
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
