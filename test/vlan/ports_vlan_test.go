//go:build vlan

package vlan

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"

	"github.com/mascri/mascri/netplug/netns/netnstest"
)

// vlans is what `bridge vlan show dev LINK` lists, on one line.
func (l *lab) vlans(link string) string {
	l.Helper()
	all, err := netlink.BridgeVlanList()
	l.must(err)
	var shown []string
	for _, v := range all[int32(l.link(link).Attrs().Index)] {
		text := fmt.Sprint(v.Vid)
		if v.Flags&nl.BRIDGE_VLAN_INFO_PVID != 0 {
			text += " PVID"
		}
		if v.Flags&nl.BRIDGE_VLAN_INFO_UNTAGGED != 0 {
			text += " untagged"
		}
		shown = append(shown, text)
	}
	return strings.Join(shown, ", ")
}

// makeBridge is a bridge that the administrator made.
func (l *lab) makeBridge(br netlink.Bridge) {
	l.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = bridge
	br.LinkAttrs = attrs
	l.must(netlink.LinkAdd(&br))
}

// TestPortVLANs has the VLANs of the port for each configuration, as the
// reference plugin (v1.9.1) sets them.
func TestPortVLANs(t *testing.T) {
	on, three, none := true, uint16(3), uint16(0)
	for _, c := range []struct {
		keys  string
		found *netlink.Bridge // before ADD; nil for none
		want  string
	}{
		{keys: `"vlan":100`, want: "100 PVID untagged"},
		{keys: `"vlan":1`, want: "1 PVID untagged"},
		{keys: `"vlan":4094`, want: "4094 PVID untagged"},
		{keys: `"vlan":100,"preserveDefaultVlan":true`, want: "1 untagged, 100 PVID untagged"},
		{keys: `"vlanTrunk":[{"id":101},{"minID":200,"maxID":202}]`, want: "1 PVID untagged, 101, 200, 201, 202"},
		{keys: `"vlanTrunk":[{"id":101}],"preserveDefaultVlan":true`, want: "1 PVID untagged, 101"},
		{keys: `"vlan":100,"vlanTrunk":[{"id":101}]`, want: "100 PVID untagged, 101"},
		{keys: `"vlanTrunk":[{"minID":1,"maxID":4}]`, want: "1 PVID untagged, 2, 3, 4"},
		{keys: `"vlan":3,"vlanTrunk":[{"minID":2,"maxID":4}]`, want: "2, 3 PVID untagged, 4"},
		{keys: `"vlan":100`, found: &netlink.Bridge{VlanFiltering: &on, VlanDefaultPVID: &three}, want: "100 PVID untagged"},
		{keys: `"vlan":100`, found: &netlink.Bridge{VlanFiltering: &on, VlanDefaultPVID: &none}, want: "100 PVID untagged"},
		{keys: `"vlan":100,"preserveDefaultVlan":true`, found: &netlink.Bridge{VlanFiltering: &on, VlanDefaultPVID: &three},
			want: "3 untagged, 100 PVID untagged"},
	} {
		t.Run(c.keys, func(t *testing.T) {
			l := newLab(t)
			if c.found != nil {
				l.makeBridge(*c.found)
			}
			pod := l.add("pod", config(c.keys))
			if got := l.vlans(pod.port()); got != c.want {
				t.Errorf("the port is in the VLANs %q, expected %q", got, c.want)
			}
			if err := l.check(pod); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestPlainBridge turns filtering on where a bridge has none; pods without a
// VLAN stay in the default one.
func TestPlainBridge(t *testing.T) {
	l := newLab(t)
	plain := l.add("plain", l.addressed(`"vlan":0`))
	if filters(l) {
		t.Fatal("a bridge filters VLANs that no configuration asked for")
	}
	pod := l.add("pod", l.addressed(`"vlan":100`))
	if !filters(l) {
		t.Error("the bridge does not filter VLANs after an ADD with one")
	}
	if got := l.vlans(plain.port()); got != "1 PVID untagged" {
		t.Errorf("the port without a VLAN is in %q, expected the default one", got)
	}
	l.serve(plain.netns, "plain", plain.address())
	l.isCutOff(pod.netns, plain.address())
	if err := l.check(plain); err != nil {
		t.Error(err)
	}
}

func filters(l *lab) bool {
	l.Helper()
	br, ok := l.link(bridge).(*netlink.Bridge)
	if !ok || br.VlanFiltering == nil {
		l.Fatalf("%s is no bridge that a kernel with VLAN filtering made", bridge)
	}
	return *br.VlanFiltering
}

// TestNoAddressNoBridge: an ADD that finds no address has made no bridge, though
// whether a kernel can filter VLANs is a question about bridges.
func TestNoAddressNoBridge(t *testing.T) {
	l := newLab(t)
	full := strings.Replace(l.addressed(`"vlan":100`), `"subnet"`, `"rangeStart":"10.88.0.1","rangeEnd":"10.88.0.1","subnet"`, 1)
	if _, err := l.run(call{"ADD", "pod", netnstest.New(l), full}); err == nil || !strings.Contains(err.Error(), "no IP addresses available") {
		t.Fatalf("ADD where the gateway has the only address: %v", err)
	}
	links, err := netlink.LinkList()
	l.must(err)
	if len(links) != 1 {
		t.Errorf("the node has %d links, expected lo alone", len(links))
	}
	if left, err := filepath.Glob(l.data + "/*"); err != nil || left != nil {
		t.Errorf("the data directory has %v: %v", left, err)
	}
}

// TestLegIgnoresAdvertisements: IPv6 forwarding lets the links that listen to
// router advertisements go on listening, and the leg's could only be a pod's.
func TestLegIgnoresAdvertisements(t *testing.T) {
	l := newLab(t)
	l.add("pod", strings.Replace(l.addressed(`"vlan":100,"isGateway":true`), "10.88.0.0/24", "fd88::/64", 1))
	for _, link := range []string{bridge, leg} {
		got, err := os.ReadFile("/proc/sys/net/ipv6/conf/" + link + "/accept_ra")
		l.must(err)
		if string(got) != "0\n" {
			t.Errorf("accept_ra of %s is %s", link, got)
		}
	}
}

// TestDelete leaves the bridge and its leg, which other pods may use.
func TestDelete(t *testing.T) {
	l := newLab(t)
	pod := l.add("pod", l.addressed(`"vlan":100,"vlanTrunk":[{"id":101}],"isGateway":true`))
	if len(l.leases()) != 1 {
		t.Fatalf("leases %v, expected one", l.leases())
	}
	for range 2 { // a DEL may be repeated
		_, err := l.run(call{"DEL", pod.id, pod.netns, pod.config})
		l.must(err)
		links, err := netlink.LinkList()
		l.must(err)
		var names []string
		for _, link := range links {
			names = append(names, link.Attrs().Name)
		}
		if slices.Sort(names); !slices.Equal(names, []string{bridge, leg, "lo"}) {
			t.Errorf("after DEL the node has the links %v", names)
		}
		if len(l.leases()) != 0 {
			t.Errorf("after DEL the leases are %v", l.leases())
		}
	}
}
