//go:build privileged

package filter

import "testing"

func TestUsableLeavesNothing(t *testing.T) {
	l := newHost(t)
	for _, f := range []Family{IPv4, IPv6} {
		if err := Usable(l.conn, f); err != nil {
			t.Errorf("%s: %v", f, err)
		}
	}
	if got := l.run("nft list ruleset"); got != "" {
		t.Errorf("left behind: %s", got)
	}
}
