package netplug

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

const (
	forwardingIPv4 = "net/ipv4/ip_forward"
	forwardingIPv6 = "net/ipv6/conf/all/forwarding"
)

// Apply turns the router on.
func (s Forwarding) Apply(*kernel) error {
	if !s.IPv6 {
		return setSysctl(forwardingIPv4, "1")
	}
	if present, err := getSysctl(forwardingIPv6); err != nil || present == "1" {
		return err
	}
	if err := keepAdvertisements(); err != nil {
		return err
	}
	return setSysctl(forwardingIPv6, "1")
}

// keepAdvertisements raises accept_ra from 1 to 2 on each link.
func keepAdvertisements() error {
	links, err := os.ReadDir(filepath.Join(sysctlRoot, "net/ipv6/conf"))
	if err != nil {
		return fmt.Errorf("list links with IPv6: %w", err)
	}
	for _, link := range links {
		switch link.Name() {
		case "all", "default", "lo":
			continue
		}
		key := acceptRA(link.Name())
		present, err := getSysctl(key)
		if err == nil && present == "1" {
			err = setSysctl(key, "2")
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) { // a link may vanish meanwhile
			return err
		}
	}
	return nil
}

// Check reads the one switch.
func (s Forwarding) Check(*kernel) error {
	if s.IPv6 {
		return checkSysctl(forwardingIPv6, "1")
	}
	return checkSysctl(forwardingIPv4, "1")
}

// Apply sets the sysctl.
func (s RouteLocalnet) Apply(*kernel) error { return setSysctl(s.key(), "1") }

// Check reads it.
func (s RouteLocalnet) Check(*kernel) error { return checkSysctl(s.key(), "1") }
