package portmap

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"

	"github.com/mascri/mascri/netplug/filter"
)

// Apply sets the sysctl at once: /proc/sys/net is the calling thread's
// namespace's, and no transaction has it.
func (r RouteLocalnet) Apply(*filter.Conn) error {
	present, err := r.read()
	if err != nil || present == "1" {
		return err
	}
	// Without O_CREATE and O_TRUNC: these are not files.
	f, err := os.OpenFile(r.path(), os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("unable to enable route_localnet: %w", err)
	}
	_, err = f.WriteString("1")
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("unable to enable route_localnet: %w", err)
	}
	return nil
}

// Check says whether somebody has taken it back.
func (r RouteLocalnet) Check(*filter.Conn) error {
	present, err := r.read()
	if err == nil && present != "1" {
		err = fmt.Errorf("sysctl %s is %s, not 1: 127.0.0.1 does not lead to the host ports", r.key(), present)
	}
	return err
}

func (r RouteLocalnet) read() (string, error) {
	text, err := os.ReadFile(r.path())
	if err != nil {
		return "", fmt.Errorf("read sysctl %s: %w", r.key(), err)
	}
	return strings.TrimSpace(string(text)), nil
}

func (r RouteLocalnet) path() string { return filepath.Join("/proc/sys", r.key()) }

// routeDevice asks the kernel by which interface it would send to the address.
func routeDevice(addr netip.Addr) (string, error) {
	routes, err := netlink.RouteGet(addr.AsSlice())
	if err != nil {
		return "", fmt.Errorf("look up the route to %s: %w", addr, err)
	}
	if len(routes) == 0 {
		return "", fmt.Errorf("no route to %s", addr)
	}
	link, err := netlink.LinkByIndex(routes[0].LinkIndex)
	if err != nil {
		return "", fmt.Errorf("look up the interface to %s: %w", addr, err)
	}
	return link.Attrs().Name, nil
}
