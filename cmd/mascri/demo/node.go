package demo

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// A node keeps what its pods share: the bridge with the gateway's address, the
// network's table in the packet filter, the rule that lets the bridge's traffic
// through Docker's DROP. No pod's removal takes them away, since the next pod
// needs them. A demonstration has no next pod.

// shared is one such thing: the commands that look for it and take it away.
type shared struct{ find, remove string }

var nodeState = []shared{
	{"ip link show " + bridge, "ip link delete " + bridge},
	{"nft list table ip mascri", "nft delete table ip mascri"},
	{"iptables -C DOCKER-USER -i " + bridge + " -j ACCEPT", "iptables -D DOCKER-USER -i " + bridge + " -j ACCEPT"},
	{"iptables -C DOCKER-USER -o " + bridge + " -j ACCEPT", "iptables -D DOCKER-USER -o " + bridge + " -j ACCEPT"},
	{"test -d " + leasesDir, "rm -r " + leasesDir},
	{"test -d /var/lib/cni/networks/.ipam", "rm -r /var/lib/cni/networks/.ipam"},
	{"test -d /var/lib/cni", "rm -r /var/lib/cni"},
}

// rememberNode has everything that the node does not have now taken away at the
// end; what it has, it had before.
func (h *host) rememberNode(ctx context.Context) {
	for _, s := range nodeState {
		if command(ctx, s.find) != nil {
			h.undo = append(h.undo, func(ctx context.Context) error { return h.takeAway(ctx, s) })
		}
	}
	h.undo = append(h.undo, func(context.Context) error {
		h.say("taking back what a node keeps for its next pod")
		return nil
	})
}

// takeAway removes a shared thing, where it is there at all.
func (h *host) takeAway(ctx context.Context, s shared) error {
	if command(ctx, s.find) != nil {
		return nil
	}
	h.say("  %s", s.remove)
	return command(ctx, s.remove)
}

// command runs one command line of words without quotes.
func command(ctx context.Context, line string) error {
	words := strings.Fields(line)
	out, err := exec.CommandContext(ctx, words[0], words[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w", line, errors.Join(err, errors.New(strings.TrimSpace(string(out)))))
	}
	return nil
}
