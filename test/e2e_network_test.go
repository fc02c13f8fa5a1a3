//go:build e2e && linux

package test

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Docker on this machine drops what it forwards, and sends bridged frames
// through that as well; none of the paths below is open by itself.

func TestPodsReachEachOtherAndTheHostReachesThem(t *testing.T) {
	n := newNode(t)
	a, b := n.run(podConfig("a")), n.run(podConfig("b"))
	addressA, addressB := n.addresses(a)[0], n.addresses(b)[0]
	pings(t, "", addressA)
	pings(t, "", addressB)
	pings(t, n.netns(a), addressB)
	pings(t, n.netns(b), addressA)

	serveTCP(t, n.netns(b), ":8080")
	if seen := reaches(t, n.netns(a), netip.AddrPortFrom(addressB, 8080).String()); seen != addressA {
		t.Errorf("between pods the client is seen as %s, want %s itself", seen, addressA)
	}
}

func TestPodReachesTheOutsideBehindTheNode(t *testing.T) {
	n := newNode(t)
	newOutside(t)
	pod := n.run(podConfig("a"))
	serveTCP(t, outsidePath, ":80")
	if seen := reaches(t, n.netns(pod), outsideHost.String()+":80"); seen != nodeOutside {
		t.Errorf("the outside sees %s, want the node's %s", seen, nodeOutside)
	}
}

func TestHostPorts(t *testing.T) {
	n := newNode(t)
	newOutside(t)
	server := n.run(podConfig("server", hostPort(runtimeapi.Protocol_TCP, 8080, 80)))
	client := n.run(podConfig("client"))
	serveTCP(t, n.netns(server), ":80")
	onWire := nodeOutside.String() + ":8080"
	for name, path := range map[string]string{"from outside": outsidePath, "from the node": "", "from another pod": n.netns(client), "from the pod itself": n.netns(server)} {
		t.Run(name, func(t *testing.T) { reaches(t, path, onWire) })
	}
	t.Run("over 127.0.0.1", func(t *testing.T) { reaches(t, "", "127.0.0.1:8080") })
	t.Run("the client's address is kept", func(t *testing.T) {
		if seen := reaches(t, outsidePath, onWire); seen != outsideHost {
			t.Errorf("the pod sees %s, want %s", seen, outsideHost)
		}
	})

	n.stop(server)
	if _, err := dialTCP(t.Context(), outsidePath, onWire); err == nil {
		t.Error("the host port answers after the pod was stopped")
	}
}

func TestDualStack(t *testing.T) {
	n := newNode(t)
	newOutside(t)
	n.configure("10-mascri.conflist", conflist(t, "10.23.0.0/24", "fd00:23::/64"))
	a := n.run(podConfig("a", hostPort(runtimeapi.Protocol_TCP, 8080, 80)))
	b := n.run(podConfig("b"))
	addresses := n.addresses(a)
	if len(addresses) != 2 || !addresses[0].Is4() || !addresses[1].Is6() {
		t.Fatalf("addresses %v, want one of each family, IPv4 first", addresses)
	}
	serveTCP(t, n.netns(a), ":80")
	serveTCP(t, outsidePath, ":90")
	for i, at := range []struct{ node, outside netip.Addr }{{nodeOutside, outsideHost}, {nodeOutside6, outsideHost6}} {
		t.Run(at.node.String(), func(t *testing.T) {
			pings(t, "", addresses[i])
			pings(t, n.netns(b), addresses[i])
			reaches(t, outsidePath, netip.AddrPortFrom(at.node, 8080).String())
			if seen := reaches(t, n.netns(b), netip.AddrPortFrom(at.outside, 90).String()); seen != at.node {
				t.Errorf("the outside sees %s, want %s", seen, at.node)
			}
		})
	}
}

func TestManyPodsAtOnceHaveDifferentAddresses(t *testing.T) {
	const pods, atOnce = 50, 8
	n := newNode(t)
	var wait sync.WaitGroup
	turn := make(chan struct{}, atOnce)
	ids, failures := make([]string, pods), make([]error, pods)
	for i := range pods {
		wait.Go(func() {
			turn <- struct{}{}
			defer func() { <-turn }()
			config := podConfig(fmt.Sprintf("pod-%d", i))
			answer, err := n.RunPodSandbox(t.Context(), &runtimeapi.RunPodSandboxRequest{Config: config})
			ids[i], failures[i] = answer.GetPodSandboxId(), err
		})
	}
	wait.Wait()
	owners := map[netip.Addr]string{}
	for i, id := range ids {
		if failures[i] != nil {
			t.Fatal(failures[i])
		}
		for _, address := range n.addresses(id) {
			if other, taken := owners[address]; taken {
				t.Errorf("%s belongs to %s and to %s", address, other, id)
			}
			owners[address] = id
		}
	}
	if len(owners) != pods {
		t.Errorf("%d addresses for %d pods", len(owners), pods)
	}
}

// Two networks whose prefixes touch: where one ends the other begins.
func TestNetworksSideBySide(t *testing.T) {
	n := newNode(t)
	for i, network := range []struct{ bridge, subnet string }{
		{"mascri0", "10.22.0.0/16"}, {"mascri1", "10.23.0.0/24"}, {"mascri0", "10.22.0.0/16"}, {"mascri1", "10.23.0.0/24"},
	} {
		text := strings.Replace(conflist(t, network.subnet), `"mascri0"`, `"`+network.bridge+`"`, 1)
		n.configure("10-mascri.conflist", text)
		id := n.run(podConfig(fmt.Sprintf("pod-%d", i)))
		if got := n.addresses(id)[0]; !netip.MustParsePrefix(network.subnet).Contains(got) {
			t.Errorf("pod %d has %s, want one of %s", i, got, network.subnet)
		}
		pings(t, "", n.addresses(id)[0])
	}
}

// The node's own address of the bridge is what pods know as their gateway, and
// it is there before the first packet.
func TestGatewayIsTheBridge(t *testing.T) {
	n := newNode(t)
	id := n.run(podConfig("a"))
	bridge, err := net.InterfaceByName("mascri0")
	if err != nil {
		t.Fatal(err)
	}
	addresses, err := bridge.Addrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range addresses {
		prefix := netip.MustParsePrefix(address.String())
		if prefix.Addr().Is4() {
			pings(t, n.netns(id), prefix.Addr())
			return
		}
	}
	t.Errorf("the bridge has only %v", addresses)
}
