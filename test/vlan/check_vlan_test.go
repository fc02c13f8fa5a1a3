//go:build vlan

package vlan

import (
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
)

// TestCheckNotices damages what ADD made, one thing at a time: CHECK passes
// before, and afterwards names the culprit.
func TestCheckNotices(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(l *lab, port netlink.Link) error
		says   string
	}{
		"VLAN removed": {func(_ *lab, port netlink.Link) error {
			return netlink.BridgeVlanDel(port, 100, true, true, false, true)
		}, "VLAN 100"},
		"VLAN of the trunk removed": {func(_ *lab, port netlink.Link) error {
			return netlink.BridgeVlanDel(port, 201, false, false, false, true)
		}, "VLAN 201"},
		"native VLAN tagged": {func(_ *lab, port netlink.Link) error {
			return netlink.BridgeVlanAdd(port, 100, false, false, false, true)
		}, "VLAN 100"},
		"VLAN added": {func(_ *lab, port netlink.Link) error {
			return netlink.BridgeVlanAdd(port, 300, false, false, false, true)
		}, "300"},
		"bridge out of the VLAN": {func(l *lab, _ netlink.Link) error {
			return netlink.BridgeVlanDel(l.link(bridge), 100, false, false, true, false)
		}, "VLAN 100"},
		"leg down": {func(l *lab, _ netlink.Link) error {
			return netlink.LinkSetDown(l.link(leg))
		}, leg},
		"filtering off": {func(*lab, netlink.Link) error {
			return stopFiltering()
		}, "filter VLANs"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			pod := l.add("pod", l.addressed(`"vlan":100,"vlanTrunk":[{"minID":200,"maxID":202}],"isGateway":true`))
			l.must(l.check(pod))
			l.must(c.damage(l, l.link(pod.port())))
			if err := l.check(pod); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("CHECK says %v, expected it to name %q", err, c.says)
			}
		})
	}
}

// stopFiltering names the bridge by its name alone: with the index as well,
// older kernels take the name for a new one, and refuse it while the link is up.
func stopFiltering() error {
	off := false
	attrs := netlink.NewLinkAttrs()
	attrs.Name = bridge
	return netlink.LinkModify(&netlink.Bridge{LinkAttrs: attrs, VlanFiltering: &off})
}
