//go:build privileged

package differential

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/types"
)

// handoverList is a chain in which both implementations leave state of every
// kind on the node: links, leases, masquerade, spoof check, host port.
func handoverList(backend string) string {
	return fmt.Sprintf(`{"cniVersion":"1.1.0","name":"lab","plugins":[
	{"type":"bridge","bridge":"br-lab","isDefaultGateway":true,"ipMasq":true,"ipMasqBackend":%q,"macspoofchk":true,
	 "ipam":{"type":"host-local","dataDir":"DATA/leases","ranges":[[{"subnet":"10.88.0.0/24"}],[{"subnet":"fd88::/64"}]]}},
	{"type":"portmap","backend":%q,"capabilities":{"portMappings":true}}]}`, backend, backend)
}

// as lets the network's next calls be executed by an implementation.
func (n *network) as(impl implementation) { n.cni.Path = []string{impl.bin, others} }

var backends = []string{"iptables", "nftables"}

// TestOursDeletesTheReferences: the node was switched while pods ran; libcni's
// cache, and with it prevResult, is the reference's.
func TestOursDeletesTheReferences(t *testing.T) {
	for _, backend := range backends {
		t.Run(backend, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, reference)
			n := l.network(handoverList(backend), portMapping)
			one, two := l.pod(), l.pod()
			n.add("pod-one", one)
			n.capabilities = nil
			n.add("pod-two", two)
			n.as(ours)
			n.check("pod-two", two)
			n.del("pod-two", two)
			n.capabilities = portMapping
			n.check("pod-one", one)
			l.reachable(one) // the other pod's DEL took nothing of this one's
			n.del("pod-one", one)
			l.clean()
		})
	}
}

// TestOursChecksTheReferences: our CHECK of a host port that the reference made
// is content, until something on the packet's way is missing.
func TestOursChecksTheReferences(t *testing.T) {
	for backend, damages := range map[string][]string{
		"nftables": {"nft flush chain ip cni_hostport hostports", "nft flush chain ip cni_hostport prerouting",
			"nft flush chain ip cni_hostport hostports_all", "nft flush chain ip6 cni_hostport masquerading",
			"nft insert rule ip cni_hostport hostports tcp dport 8000 dnat to 10.88.0.9:8080 comment other"},
		"iptables": {"iptables -t nat -F CNI-HOSTPORT-DNAT", "iptables -t nat -D PREROUTING 1", "iptables -t nat -F POSTROUTING",
			"iptables -t nat -F $(iptables -t nat -S | grep -o 'CNI-DN-[0-9a-f]*' | head -1)",
			"ip6tables -t nat -F $(ip6tables -t nat -S | grep -o 'CNI-DN-[0-9a-f]*' | head -1)"},
	} {
		for _, damage := range damages {
			t.Run(backend+"/"+damage, func(t *testing.T) {
				t.Parallel()
				l := newLab(t, reference)
				n := l.network(handoverList(backend), portMapping)
				netns := l.pod()
				n.add("pod-one", netns)
				n.as(ours)
				n.check("pod-one", netns)
				l.sh(damage)
				if !n.refused("pod-one", netns) {
					t.Error("CHECK is content")
				}
			})
		}
	}
}

// TestOursCollectsTheReferences: after a reboot of the runtime nobody calls DEL
// any more; the namespaces are gone, and the links with them.
func TestOursCollectsTheReferences(t *testing.T) {
	for _, backend := range backends {
		t.Run(backend, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, reference)
			n := l.network(handoverList(backend), portMapping)
			one, two := l.pod(), l.pod()
			n.add("pod-one", one)
			n.capabilities = nil
			n.add("pod-two", two)
			n.as(ours)
			l.sh("nsenter --net=" + two + " ip link del eth0")
			n.gc(types.GCAttachment{ContainerID: "pod-one", IfName: "eth0"})
			if left := l.left(); strings.Contains(left, "pod-two") || strings.Contains(left, "10.88.0.3") {
				t.Errorf("GC left of pod-two:\n%s", left)
			}
			l.reachable(one)
			l.sh("nsenter --net=" + one + " ip link del eth0")
			n.gc()
			l.clean()
		})
	}
}

// TestReferenceDeletesOurs: the node is switched back. The reference does not
// know our packet filter, so a host port stays until our GC; the rest goes.
func TestReferenceDeletesOurs(t *testing.T) {
	t.Parallel()
	l := newLab(t, ours)
	n := l.network(handoverList("nftables"), portMapping)
	netns := l.pod()
	n.add("pod-one", netns)
	n.as(reference)
	if !n.refused("pod-one", netns) {
		t.Error("the reference's CHECK knows our objects: say so in accepted_test.go")
	}
	n.del("pod-one", netns)
	if left := l.attached(); left != "" {
		t.Errorf("the reference's DEL left:\n%s", left)
	}
	if !strings.Contains(l.left(), "8000") {
		t.Error("the reference's DEL removed our host port: say so in accepted_test.go")
	}
	n.as(ours)
	n.gc()
	l.clean()
}

// TestOldLease: releases of host-local before 0.8 wrote the container's ID
// alone, and every release gives the name of the file its meaning.
func TestOldLease(t *testing.T) {
	t.Parallel()
	for _, content := range []string{"pod-one", "pod-one\n", "pod-one\r\neth0", "pod-one\r\neth0\n"} {
		t.Run(fmt.Sprintf("%q", content), func(t *testing.T) {
			l := newLab(t, ours)
			dir := l.data + "/leases/" + networkName
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			for _, address := range []string{"10.88.0.77", "fd88::77"} {
				if err := os.WriteFile(dir+"/"+address, []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.WriteFile(dir+"/10.88.0.78", []byte("pod-one-more"), 0o600); err != nil {
				t.Fatal(err)
			}
			plugin := l.object(bridge(dual))
			plugin["name"], plugin["cniVersion"] = networkName, "1.0.0"
			if a := l.execute(call{command: "DEL", id: "pod-one", plugin: plugin}); a.exit != 0 {
				t.Fatalf("DEL: %s", a.stdout)
			}
			if got := l.sh("cd " + dir + "; ls -d [1f]*"); got != "10.88.0.78\n" {
				t.Errorf("DEL of pod-one leaves %q, expected only the other's 10.88.0.78", got)
			}
		})
	}
}

// TestLeasesInterleave: while a node is switched, both implementations hand out
// addresses from one directory, each after the other's last.
func TestLeasesInterleave(t *testing.T) {
	t.Parallel()
	l := newLab(t, ours)
	n := l.network(`{"cniVersion":"1.0.0","name":"lab","plugins":[{"type":"bridge","isGateway":true,
		"ipam":{"type":"host-local","dataDir":"DATA/leases","ranges":[[{"subnet":"10.88.0.0/24"}]]}}]}`, nil)
	for i, impl := range []implementation{reference, ours, reference, reference, ours, ours} {
		n.as(impl)
		id := fmt.Sprintf("pod-%d", i)
		if got, want := n.add(id, l.pod()).IPs[0].Address.String(), fmt.Sprintf("10.88.0.%d/24", i+2); got != want {
			t.Errorf("%s gave %s to %s, expected %s", impl.name, got, id, want)
		}
	}
	for i, impl := range []implementation{ours, reference, ours, reference, ours, reference} {
		n.as(impl)
		n.del(fmt.Sprintf("pod-%d", i), l.pods[i])
	}
	l.clean()
}

// TestRelativeDirectory: the reference takes it, ours refuses it and gives back
// what the reference leased there.
func TestRelativeDirectory(t *testing.T) {
	t.Parallel()
	l := newLab(t, reference)
	netns := l.pod()
	plugin := l.object(`{"cniVersion":"1.0.0","name":"lab","type":"host-local","ipam":{"dataDir":"leases","subnet":"10.88.0.0/24"}}`)
	c := call{command: "ADD", id: "pod-one", netns: netns, plugin: plugin}
	if a := l.execute(c); a.exit != 0 || !strings.Contains(l.attached(), "/leases/lab/10.88.0.2") {
		t.Fatalf("the reference's ADD: %s\n%s", a.stdout, l.attached())
	}
	l.implementation = ours
	if a := l.execute(call{command: "ADD", id: "pod-two", netns: netns, plugin: plugin}); a.exit == 0 || !strings.Contains(a.stdout, `ipam.dataDir \"leases\" is relative`) {
		t.Errorf("our ADD: %s", a.stdout)
	}
	c.command = "DEL"
	if a := l.execute(c); a.exit != 0 {
		t.Errorf("our DEL: %s", a.stdout)
	}
	l.clean()
}
