//go:build privileged

package filter

import (
	"slices"
	"strings"
	"testing"
)

// TestForwardAcceptIsRepaired: Docker makes its chains anew when it starts.
func TestForwardAcceptIsRepaired(t *testing.T) {
	damages := map[string]string{
		"flushed":                   "iptables -F DOCKER-USER; iptables -A DOCKER-USER -j RETURN",
		"one rule deleted":          "iptables -D DOCKER-USER -i cni0 -j ACCEPT",
		"the other rule deleted":    "iptables -D DOCKER-USER -o cni0 -j ACCEPT",
		"made anew":                 "iptables -D FORWARD -j DOCKER-USER; iptables -F DOCKER-USER; iptables -X DOCKER-USER; iptables -N DOCKER-USER; iptables -I FORWARD -j DOCKER-USER",
		"no longer entered":         "iptables -D FORWARD -j DOCKER-USER",
		"a RETURN before our rules": "iptables -I DOCKER-USER -j RETURN",
		"the whole table":           "iptables -F; iptables -X",
	}
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			l := newHost(t)
			l.run(docker)
			accept := ForwardAccept{"cni0", IPv4}
			l.apply(accept)
			l.run(damage)
			if err := accept.Check(l.conn); err == nil || !strings.Contains(err.Error(), "cni0") {
				t.Errorf("Check after the damage says %v", err)
			}
			l.apply(accept)
		})
	}
}

func TestForwardAcceptLooksLikeIptables(t *testing.T) {
	l := newHost(t)
	l.run(docker)
	l.apply(ForwardAccept{"cni0", IPv4}, ForwardAccept{"br-1", IPv4})
	want := []string{"-N DOCKER-USER", "-A DOCKER-USER -i br-1 -j ACCEPT", "-A DOCKER-USER -o br-1 -j ACCEPT",
		"-A DOCKER-USER -i cni0 -j ACCEPT", "-A DOCKER-USER -o cni0 -j ACCEPT", "-A DOCKER-USER -j RETURN"}
	if got := strings.Split(strings.TrimSpace(l.run("iptables -S DOCKER-USER")), "\n"); !slices.Equal(got, want) {
		t.Errorf("iptables -S: %q, want %q", got, want)
	}
	l.run("iptables -D DOCKER-USER -i cni0 -j ACCEPT; iptables -D DOCKER-USER -o cni0 -j ACCEPT")
}

// TestForwardAcceptLeavesOpenHostsAlone: where nothing drops, nothing is made.
func TestForwardAcceptLeavesOpenHostsAlone(t *testing.T) {
	for name, host := range map[string]string{
		"no iptables":              "true",
		"policy ACCEPT":            "iptables -P FORWARD ACCEPT",
		"a chain of Docker's left": "iptables -N DOCKER-USER",
	} {
		t.Run(name, func(t *testing.T) {
			l := newHost(t)
			l.run(host)
			before := l.ruleset()
			l.apply(ForwardAccept{"cni0", IPv4}, ForwardAccept{"cni0", IPv6})
			if got := l.ruleset(); !slices.Equal(got, before) {
				t.Errorf("made %v of %v", got, before)
			}
		})
	}
}

func TestForwardAcceptRefusesBadNames(t *testing.T) {
	l := newHost(t)
	for _, a := range []ForwardAccept{{"", IPv4}, {strings.Repeat("x", 16), IPv4}, {"cni0", Bridge}, {"cni0", ""}} {
		if err := a.Apply(l.conn); err == nil {
			t.Errorf("%+v is accepted", a)
		}
	}
}
