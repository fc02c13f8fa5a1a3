//go:build bench

package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mascri/mascri/test/figures"
)

// slowRuns is how often the reference is measured at most: it reads every lease.
const slowRuns = 20

// TestLeases measures ADD of the address plugins alone, with many addresses
// taken already. Each round goes through all pools; the sides do not take turns,
// as the reference's reading of 60,000 files leaves the next one cold caches.
func TestLeases(t *testing.T) {
	n := newNode(t)
	held := []int{0, 1000, 10000, 60000}
	pools := map[int]string{}
	for _, h := range held {
		pools[h] = n.pool(h)
		n.leaseOnce("ipam", pools[h], "first") // makes the index of files that somebody else wrote
	}
	var ours, reference [4]figures.Series
	for i := range *runs {
		for at, h := range held {
			ours[at] = append(ours[at], n.leaseOnce("ipam", pools[h], fmt.Sprint(i)))
		}
	}
	for i := range min(*runs, slowRuns) {
		for at, h := range held {
			reference[at] = append(reference[at], n.leaseOnce("host-local", pools[h], fmt.Sprint(i)))
		}
	}
	tb := figures.Table{Name: "leases", Header: []string{"ADD with leases held, p50", "ours, ms", "÷ with none", "reference, ms", "÷ with none"}}
	for at, h := range held {
		tb.Add(fmt.Sprint(h), figures.MS(ours[at].P50()), figures.Ratio(ours[at], ours[0]), figures.MS(reference[at].P50()), figures.Ratio(reference[at], reference[0]))
		if h >= 10000 {
			aimAt(fmt.Sprintf("ADD with %d leases held, ÷ with none", h), figures.Quotient(ours[at], ours[0]), 1.15)
		}
	}
	tb.Write(t, *output)
}

// leaseOnce measures an ADD and gives the address back.
func (n *node) leaseOnce(plugin, config, id string) time.Duration {
	n.Helper()
	e := execution{dir: n.ours, plugin: plugin, id: id, netns: "/nowhere", config: fmt.Sprintf(config, plugin, plugin, plugin)}
	if plugin != "ipam" {
		e.dir = n.reference
	}
	e.command = "ADD"
	took, _ := n.run(e)
	e.command = "DEL"
	n.run(e)
	return took
}

// pool fills a data directory for each plugin as the reference writes it, and
// returns their configuration.
func (n *node) pool(held int) string {
	n.Helper()
	for _, plugin := range []string{"ipam", "host-local"} {
		dir := filepath.Join(n.data, fmt.Sprint(held), plugin, "pool")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			n.Fatal(err)
		}
		for i := range held {
			ip := fmt.Sprintf("10.%d.%d.%d", 64+(i+2)>>16, (i+2)>>8&255, (i+2)&255)
			if err := os.WriteFile(filepath.Join(dir, ip), fmt.Appendf(nil, "held%d\r\neth0", i), 0o600); err != nil {
				n.Fatal(err)
			}
		}
	}
	return fmt.Sprintf(`{"cniVersion":"1.0.0","name":"pool","type":"%%s","ipam":{"type":"%%s","dataDir":"%s/%d/%%s","subnet":"10.64.0.0/12"}}`, n.data, held)
}
