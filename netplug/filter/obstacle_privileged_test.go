//go:build privileged

package filter

import (
	"strings"
	"testing"
)

func TestObstacles(t *testing.T) {
	for name, test := range map[string]struct {
		host string
		want []string // parts of the sentences, in order
	}{
		"an open host":                   {"true", nil},
		"what ForwardAccept opens":       {docker, nil},
		"somebody's chain":               {"nft 'add table inet fw; add chain inet fw forwarding { type filter hook forward priority 0; policy drop; }'", []string{"chain inet fw forwarding"}},
		"somebody's chain, opened":       {"nft 'add table inet fw; add chain inet fw forwarding { type filter hook forward priority 0; policy drop; }; add rule inet fw forwarding iifname cni0 accept; add rule inet fw forwarding oifname cni0 accept'", nil},
		"input only":                     {"nft 'add table inet fw; add chain inet fw in { type filter hook input priority 0; policy drop; }'", nil},
		"iptables-legacy":                {"iptables-legacy -P FORWARD DROP", []string{"iptables-legacy -I FORWARD -i cni0"}},
		"ip6tables-legacy":               {"ip6tables-legacy -P FORWARD DROP", []string{"ip6tables-legacy -I FORWARD -i cni0"}},
		"iptables-legacy, ACCEPT":        {"iptables-legacy -A FORWARD -j DROP", nil},
		"iptables-legacy, opened":        {"iptables-legacy -P FORWARD DROP; iptables-legacy -A FORWARD -i cni0 -j ACCEPT; iptables-legacy -A FORWARD -o cni0 -j ACCEPT", nil},
		"ip6tables-legacy, opened":       {"ip6tables-legacy -P FORWARD DROP; ip6tables-legacy -A FORWARD -i cni0 -j ACCEPT; ip6tables-legacy -A FORWARD -o cni0 -j ACCEPT", nil},
		"iptables-legacy, opened inward": {"iptables-legacy -P FORWARD DROP; iptables-legacy -A FORWARD -o cni0 -j ACCEPT", []string{"iptables-legacy"}},
	} {
		t.Run(name, func(t *testing.T) {
			l := newHost(t)
			l.run(test.host)
			got, err := Obstacles(l.conn, "cni0")
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != len(test.want) {
				t.Fatalf("%q, want %q", got, test.want)
			}
			for i, want := range test.want {
				if !strings.Contains(got[i], want) {
					t.Errorf("%q does not say %q", got[i], want)
				}
			}
		})
	}
}
