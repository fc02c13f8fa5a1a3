//go:build bench

package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/mascri/mascri/netplug/netns"
	"github.com/mascri/mascri/test/figures"
)

// TestLeases measures ADD of the address plugins alone, with many addresses
// taken already.
func TestLeases(t *testing.T) {
	n := newNode(t)
	tb := figures.Table{Name: "leases", Header: []string{"ADD with leases held, p50", "ours, ms", "÷ with none", "reference, ms", "÷ with none"}}
	var none [2]figures.Series
	for _, held := range []int{0, 1000, 10000, 60000} {
		config := n.pool(held)
		var took [2]figures.Series
		runs := min(*runs, 200)
		if held >= 10000 {
			runs = min(runs, 40) // the reference reads every lease
		}
		for i := range runs {
			for side, plugin := range [2]string{"ipam", "host-local"} {
				e := execution{dir: n.dir(side), plugin: plugin, id: fmt.Sprintf("new%d", i), netns: "/nowhere", config: fmt.Sprintf(config, plugin, plugin, plugin)}
				e.command = "ADD"
				d, _ := n.run(e)
				took[side] = append(took[side], d)
				e.command = "DEL"
				n.run(e)
			}
		}
		if held == 0 {
			none = took
		}
		tb.Add(fmt.Sprint(held), figures.MS(took[0].P50()), figures.Ratio(took[0], none[0]), figures.MS(took[1].P50()), figures.Ratio(took[1], none[1]))
	}
	tb.Write(t, *output)
}

func (n *node) dir(side int) string { return [2]string{n.ours, n.reference}[side] }

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

// TestParallel compares the rate of many ADDs at once, and looks that no address
// is given twice and nothing is left afterwards.
func TestParallel(t *testing.T) {
	tb := figures.Table{Name: "parallel", Header: []string{"ADDs at a time", "ours, ADD/s", "reference, ADD/s", "ratio"}}
	for _, parallel := range []int{1, 2, 4, 8, 16, 32} {
		t.Run(fmt.Sprint(parallel), func(t *testing.T) {
			n := newNode(t)
			ours, reference := n.sides("parallel", `"ipMasq":true,`, "nftables", false)
			a, b := n.addMany(ours, parallel), n.addMany(reference, parallel)
			tb.Add(fmt.Sprint(parallel), fmt.Sprintf("%.0f", a), fmt.Sprintf("%.0f", b), fmt.Sprintf("%.2f", a/b))
		})
	}
	tb.Write(t, *output)
}

// addMany runs the ADDs, some at a time, and then all DELs; it returns ADDs a second.
func (n *node) addMany(s side, parallel int) float64 {
	n.Helper()
	pods := make([]string, *runs)
	for i := range pods {
		pods[i] = n.pod()
	}
	each := func(command string) time.Duration {
		start := time.Now()
		err := n.each(parallel, len(pods), func(i int) error {
			_, out, err := s.execution(command, s.plugins[0], i, pods[i], "").try()
			if err != nil {
				return fmt.Errorf("%s %d: %w\n%s", command, i, err, out)
			}
			return nil
		})
		if err != nil {
			n.Error(err)
		}
		return time.Since(start)
	}
	took := each("ADD")
	each("DEL")
	if left := n.sh("ip -br link show type veth"); left != "" {
		n.Errorf("left after DEL:\n%s", left)
	}
	n.release()
	return float64(len(pods)) / took.Seconds()
}

// each runs f for all numbers below count, some at a time, on threads in the
// node's namespace.
func (n *node) each(parallel, count int, f func(i int) error) error {
	var group errgroup.Group
	group.SetLimit(parallel)
	path := fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), unix.Gettid())
	for i := range count {
		group.Go(func() error { return netns.Do(path, func() error { return f(i) }) })
	}
	return group.Wait()
}
