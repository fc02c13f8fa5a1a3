//go:build vlan

package vlan

import (
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/mascri/mascri/netplug/netns"
)

// Emulated machines are slow: an answer has much time, silence only as much as
// ARP takes to give up (three probes, a second apart: arp(7)).
const (
	answerTime  = 30 * time.Second
	silenceTime = 4 * time.Second
)

// reaches expects the named pod to answer.
func (l *lab) reaches(path string, ip net.IP, name string) {
	l.Helper()
	if got, err := ask(path, ip, answerTime); got != name {
		l.Errorf("expected %q to answer at %s, got %q, %v", name, ip, got, err)
	}
}

// isCutOff expects nobody to answer.
func (l *lab) isCutOff(path string, ip net.IP) {
	l.Helper()
	if got, err := ask(path, ip, silenceTime); err == nil {
		l.Errorf("expected silence at %s, %q answered", ip, got)
	}
}

// TestVLANsArePrivate has four pods with addresses of one subnet on one bridge,
// in pairs: the VLAN alone decides who hears whom.
func TestVLANsArePrivate(t *testing.T) {
	l := newLab(t)
	pods := map[string]attached{}
	for name, vlan := range map[string]string{"a100": "100", "b100": "100", "a200": "200", "b200": "200"} {
		pods[name] = l.add(name, l.addressed(`"vlan":`+vlan))
		l.serve(pods[name].netns, name, pods[name].address())
	}
	for _, vlan := range []string{"100", "200"} {
		l.reaches(pods["a"+vlan].netns, pods["b"+vlan].address(), "b"+vlan)
		l.reaches(pods["b"+vlan].netns, pods["a"+vlan].address(), "a"+vlan)
	}
	l.isCutOff(pods["a200"].netns, pods["b100"].address())
	l.isCutOff(pods["b100"].netns, pods["a200"].address())
}

// TestTrunk has a pod that is a router or a switch itself: VLANs reach it with
// their tags, which an 802.1Q interface of its own takes off. A VLAN that is
// not on its trunk does not reach it.
func TestTrunk(t *testing.T) {
	for name, c := range map[string]struct {
		trunk   string
		vlan    int
		reaches bool
	}{
		"by its ID":    {`[{"id":100},{"minID":200,"maxID":202}]`, 100, true},
		"in the range": {`[{"id":100},{"minID":200,"maxID":202}]`, 201, true},
		"not on it":    {`[{"id":100},{"minID":200,"maxID":202}]`, 203, false},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			pod := l.add("pod", l.addressed(fmt.Sprintf(`"vlan":%d`, c.vlan)))
			l.serve(pod.netns, "pod", pod.address())
			trunk := l.add("trunk", config(`"vlanTrunk":`+c.trunk))
			l.must(netns.Do(trunk.netns, func() error { return addTagged(c.vlan) }))
			if c.reaches {
				l.reaches(trunk.netns, pod.address(), "pod")
			} else {
				l.isCutOff(trunk.netns, pod.address())
			}
		})
	}
}

// addTagged makes a VLAN interface on eth0 in the current namespace, with an
// address of the pods' subnet.
func addTagged(vlan int) error {
	eth0, err := netlink.LinkByName("eth0")
	if err != nil {
		return err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.ParentIndex = "tagged", eth0.Attrs().Index
	tagged := &netlink.Vlan{LinkAttrs: attrs, VlanId: vlan}
	address, err := netlink.ParseAddr("10.88.0.200/24")
	if err != nil {
		return err
	}
	return errors.Join(netlink.LinkAdd(tagged), netlink.AddrAdd(tagged, address), netlink.LinkSetUp(tagged))
}

// TestGateway finds the gateway's address on the bridge's leg in the pods' VLAN,
// and there only.
func TestGateway(t *testing.T) {
	l := newLab(t)
	pod := l.add("pod", l.addressed(`"vlan":100,"isDefaultGateway":true`))
	gateway := net.IPv4(10, 88, 0, 1)
	l.serve("/proc/thread-self/ns/net", "node", gateway)
	l.reaches(pod.netns, gateway, "node")

	addresses, err := netlink.AddrList(l.link(leg), netlink.FAMILY_V4)
	if err != nil || len(addresses) != 1 || addresses[0].IPNet.String() != "10.88.0.1/24" {
		t.Errorf("%s has the addresses %v, %v, expected 10.88.0.1/24", leg, addresses, err)
	}
	if addresses, err := netlink.AddrList(l.link(bridge), netlink.FAMILY_V4); err != nil || len(addresses) != 0 {
		t.Errorf("%s, which is in no pod's VLAN, has the addresses %v, %v", bridge, addresses, err)
	}

	other := l.add("other", l.addressed(`"vlan":200`))
	l.isCutOff(other.netns, gateway)

	if len(pod.result.Interfaces) != 4 {
		t.Fatalf("the result has the interfaces %v, expected bridge, port, eth0 and %s", pod.result.Interfaces, leg)
	}
	if i := pod.result.Interfaces[3]; i.Name != leg || i.Sandbox != "" || i.Mac != l.link(leg).Attrs().HardwareAddr.String() {
		t.Errorf("interfaces[3] of the result is %v, expected the node's %s", i, leg)
	}
}
