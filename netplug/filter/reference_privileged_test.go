//go:build privileged

package filter

import (
	"slices"
	"strings"
	"testing"
)

// referenceState is what the reference plugins v1.9.1 leave for an attachment of
// network "net", container "abc" and interface eth0, as nft and iptables list it
// after their ADD; and the same for container "other".
const referenceState = `
nft -f - <<'END'
table inet cni_plugins_masquerade {
	chain masq_checks {
		ip saddr 10.88.0.2 ip daddr != 10.88.0.0/16 masquerade comment "KEY-ABC, net: net, if: eth0, id: abc"
		ip saddr 10.88.0.3 ip daddr != 10.88.0.0/16 masquerade comment "KEY-OTHER, net: net, if: eth0, id: other"
	}
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		ip daddr 224.0.0.0/4 return
		goto masq_checks
	}
}
table ip cni_hostport {
	chain hostports {
		tcp dport 8080 dnat to 10.88.0.2:80 comment "abc"
		tcp dport 8081 dnat to 10.88.0.3:80 comment "other"
	}
	chain masquerading {
		type nat hook postrouting priority srcnat; policy accept;
		ip saddr 10.88.0.2 ip daddr 10.88.0.2 masquerade comment "abc"
		ip saddr 10.88.0.3 ip daddr 10.88.0.3 masquerade comment "other"
	}
}
table bridge nat {
	chain cni-br-iface-abc-eth0-mac {
		ether saddr 02:00:00:00:00:01 return comment "macspoofchk-abc-eth0"
		drop comment "macspoofchk-abc-eth0"
	}
	chain cni-br-iface-abc-eth0 { jump cni-br-iface-abc-eth0-mac comment "macspoofchk-abc-eth0"; }
	chain cni-br-iface-other-eth0 { drop; }
	chain PREROUTING {
		type filter hook prerouting priority -300; policy accept;
		iifname "veth1" jump cni-br-iface-abc-eth0 comment "macspoofchk-abc-eth0"
		iifname "veth2" jump cni-br-iface-other-eth0 comment "macspoofchk-other-eth0"
	}
}
END
for i in ABC OTHER; do
	iptables -t nat -N CHAIN-$i; iptables -t nat -A CHAIN-$i -d 10.88.0.0/16 -j ACCEPT; iptables -t nat -A CHAIN-$i ! -d 224.0.0.0/4 -j MASQUERADE
	iptables -t nat -A POSTROUTING -s 10.88.0.2/32 -m comment --comment "name: \"net\" id: \"$i\"" -j CHAIN-$i
done
iptables -t nat -N CNI-HOSTPORT-DNAT
for i in ABC OTHER; do
	iptables -t nat -N DN-$i; iptables -t nat -A DN-$i -p tcp --dport 8080 -j DNAT --to-destination 10.88.0.2:80
	iptables -t nat -A CNI-HOSTPORT-DNAT -p tcp -m multiport --dports 8080 -j DN-$i
done
`

func TestReferenceStateIsRemoved(t *testing.T) {
	abc, other := Owner{"net", "abc", "eth0"}, Owner{"net", "other", "eth0"}
	state := strings.NewReplacer(
		"KEY-ABC", referenceKey(abc), "KEY-OTHER", referenceKey(other),
		"CHAIN-$i", "$(name CHAIN $i)", "DN-$i", "$(name DN $i)").Replace(referenceState)
	names := `name() { case $1$2 in
		CHAINABC) echo ` + referenceChain("CNI-", abc) + `;; CHAINOTHER) echo ` + referenceChain("CNI-", other) + `;;
		DNABC) echo ` + referenceChain("CNI-DN-", abc) + `;; DNOTHER) echo ` + referenceChain("CNI-DN-", other) + `;; esac; }
`
	l := newHost(t)
	l.run(names + state)
	mentions := func(o Owner) (lines []string) {
		for _, line := range l.ruleset() {
			for _, name := range []string{referenceKey(o), `"` + o.ContainerID + `"`, "-" + o.ContainerID + "-", referenceChain("CNI-", o), referenceChain("CNI-DN-", o)} {
				if strings.Contains(line, name) {
					lines = append(lines, line)
					break
				}
			}
		}
		return lines
	}
	kept := mentions(other)
	if len(mentions(abc)) < 12 || len(kept) < 9 {
		t.Fatalf("the state is not what this test is about: %q", l.ruleset())
	}
	RemoveReference(l.conn, abc)
	RemoveReferenceHostPorts(l.conn, abc)
	RemoveReference(l.conn, Owner{"net", strings.Repeat("x", 250), "eth0"})
	if err := l.conn.Flush(); err != nil {
		t.Fatal(err)
	}
	if left := mentions(abc); left != nil {
		t.Errorf("left: %s", strings.Join(left, "\n"))
	}
	if got := mentions(other); !slices.Equal(got, kept) {
		t.Errorf("another container has\n%s\nof\n%s", strings.Join(got, "\n"), strings.Join(kept, "\n"))
	}
	CollectReference(l.conn, "elsewhere", nil)
	CollectReference(l.conn, "net", []Owner{other})
	if err := l.conn.Flush(); err != nil {
		t.Fatal(err)
	}
	if got := mentions(other); !slices.Equal(got, kept) {
		t.Errorf("collected too much: %q", got)
	}
	CollectReference(l.conn, "net", nil)
	if err := l.conn.Flush(); err != nil {
		t.Fatal(err)
	}
	if got := mentions(other); len(got) != len(kept)-1 {
		t.Errorf("collected %d rules, not 1", len(kept)-len(got))
	}
}
