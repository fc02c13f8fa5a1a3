//go:build privileged

package filter

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// TestNetworkChangesItsPrefix: the administrator edits the subnet, and the next
// ADD puts the network's elements in place of those it had.
func TestNetworkChangesItsPrefix(t *testing.T) {
	for _, change := range [][2]string{
		{"10.22.0.0/24", "10.22.0.0/16"}, {"10.22.0.0/16", "10.22.0.0/24"},
		{"10.22.0.0/16", "10.22.7.0/24"}, {"10.22.7.0/24", "10.22.0.0/16"},
		{"fd22::/64", "fd22::/56"}, {"fd22:0:0:1::/64", "fd22::/56"}, {"fd22::/56", "fd22:0:0:1::/64"},
	} {
		t.Run(strings.Join(change[:], " to "), func(t *testing.T) {
			l := newHost(t)
			l.apply(network(change[1])...)
			fresh := l.ruleset()

			l = newHost(t)
			l.apply(network(change[0])...)
			l.apply(network(change[1])...)
			if got := l.ruleset(); !slices.Equal(got, fresh) {
				t.Errorf("after the change:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(fresh, "\n"))
			}
		})
	}
}

// network is all that a network has of its own.
func network(prefix string) []step {
	p := netip.MustParsePrefix(prefix)
	return []step{
		Ruleset{IPv4}, Ruleset{IPv6}, Masquerade{"net", p}, Hairpin{"net", p, "br0"}, MasqueradeAll{"net", p},
		// Neighbours, and a second range of the same network, stay.
		Masquerade{"below", netip.MustParsePrefix("10.21.0.0/16")}, Masquerade{"above", netip.MustParsePrefix("10.23.0.0/16")},
		Masquerade{"net", netip.MustParsePrefix("10.99.0.0/16")},
	}
}

func TestOverlapOfTwoNetworksIsRefused(t *testing.T) {
	for _, second := range []string{"10.22.0.0/24", "10.22.5.0/24", "10.0.0.0/8"} {
		l := newHost(t)
		l.apply(Ruleset{IPv4}, Masquerade{"net", netip.MustParsePrefix("10.22.0.0/16")})
		before := l.ruleset()
		err := Masquerade{"other", netip.MustParsePrefix(second)}.Apply(l.conn)
		if err == nil {
			err = l.conn.Flush()
		}
		if err == nil || !strings.Contains(err.Error(), "another network") {
			t.Errorf("%s beside 10.22.0.0/16: %v", second, err)
		}
		if after := l.ruleset(); !slices.Equal(before, after) {
			t.Errorf("%s was refused and has changed:\n%s", second, strings.Join(after, "\n"))
		}
	}
}
