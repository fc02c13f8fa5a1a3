package differential

import (
	"fmt"
	"strings"
	"testing"
)

// A claim is something that ours do better. TestBetterThanReference shows it: a
// script that finds nothing wrong with ours, and something with the reference.
type claim struct {
	name      string // of the subtest
	ours      string
	reference string // what it does instead
}

// claims is the whole list, in the order of the page.
var claims = []claim{
	{"DEL without a namespace", "DEL without CNI_NETNS and prevResult removes links, lease, masquerade and spoof check.", "It releases the lease and leaves the rest."},
	{"DEL with a vanished namespace", "So does DEL where the namespace is gone, and the link with it.", "Masquerade and spoof check stay."},
	{"DEL after the link is gone", "And where only the link is gone.", "Masquerade and spoof check stay."},
	{"DEL without runtimeConfig", "portmap's DEL without runtimeConfig removes the host ports.", "They stay: it takes them from runtimeConfig."},
	{"connections of a removed pod", "After DEL no tracked connection leads to the pod's host port.", "A UDP client's packets go to an address that the next pod may have."},
	{"failed ADD", "An ADD that finds no address leaves neither link, nor bridge, nor lease directory.", "Both ends of the veth pair stay, and the bridge."},
	{"failed second ADD", "A second ADD for an attachment that lives fails, and keeps its leases.", "Its rollback releases the leases of the living."},
	{"GC", "GC frees leases, links and masquerade of what is not in the list.", "It succeeds and frees nothing."},
	{"STATUS of an exhausted pool", "STATUS fails with code 50.", "It succeeds."},
	{"CHECK", "CHECK notices each single damage to what ADD made.", "It does not see that hairpin mode, isolation, forwarding, masquerade or the gateway's address are gone, or the bridge is down."},
	{"lease from before a reboot", "An address that a container had before the machine restarted is free.", "It stays leased until somebody deletes the file."},
	{"empty lease", "An empty file where a lease should be, left by a crash, is no lease.", "The address is lost: no DEL and no GC matches the file."},
	{"IPv6 at once", "IPv6 addresses of pod and gateway are usable when ADD returns.", "The gateway's is probed for duplicates for another second."},
	{"router advertisements", "The node's uplink goes on listening to router advertisements.", "IPv6 forwarding turns that off, and the node's default route expires."},
	{"MAC of the bridge", "The bridge's MAC stays as pods come and go.", "It is that of some port."},
	{"existing bridge", "An existing bridge gets the configured MTU.", "It keeps the one that it has."},
	{"conditions of another network", "A network's conditions hold for its own host ports.", "The latest ADD's conditions hold for everybody's (nftables backend)."},
	{"host ports of another network", "DEL in one network leaves the container's host ports in others.", "It removes them all (nftables backend)."},
	{"newest host port", "Of two mappings of a host port the newest counts.", "The oldest, which somebody forgot to delete (iptables backend)."},
	{"host port from another pod", "Pods on the bridge reach each other's host ports.", "The answer comes from another address, and is dropped (nftables backend)."},
	{"interrupted dumps", "A list that a change of the kernel's tables interrupted is read again, and is an error with code 11 after a bounded number of times.", "After five times it takes what it has for the whole, and succeeds (`pkg/netlinksafe`)."},
	{"error codes", "Errors have the specification's codes.", "Most have 999."},
}

// renderClaims is the page's section on them.
func renderClaims(table []claim) string {
	var b strings.Builder
	b.WriteString("## Better than the reference\n\n`TestBetterThanReference` shows each of these with a script that finds nothing wrong with ours, and fails if it\nfinds nothing wrong with the reference.\n\n| test | ours | the reference |\n|---|---|---|\n")
	for _, c := range table {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", c.name, c.ours, c.reference)
	}
	return b.String() + "\n"
}

// TestClaimsAreWhole: no entry of the page is empty, or stands there twice.
func TestClaimsAreWhole(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range claims {
		if c.name == "" || c.ours == "" || c.reference == "" || seen[c.name] {
			t.Errorf("incomplete, or twice: %+v", c)
		}
		seen[c.name] = true
	}
}
