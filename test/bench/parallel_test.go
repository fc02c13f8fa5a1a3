//go:build bench

package bench

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"sync"
	"testing"
	"time"

	current "github.com/containernetworking/cni/pkg/types/100"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/mascri/mascri/netplug/netns"
	"github.com/mascri/mascri/test/figures"
)

// TestParallel compares the rate of many ADDs at once, and looks that no address
// is given twice and nothing is left afterwards.
func TestParallel(t *testing.T) {
	tb := figures.Table{Name: "parallel", Header: []string{"ADDs at a time", "ours, ADD/s", "reference, ADD/s", "ratio"}}
	least := math.Inf(1)
	for _, parallel := range []int{1, 2, 4, 8, 16, 32} {
		t.Run(fmt.Sprint(parallel), func(t *testing.T) {
			n := newNode(t)
			ours, reference := n.sides("parallel", `"ipMasq":true,`, "nftables", false)
			a := n.addMany(ours, parallel)
			b := n.addMany(reference, parallel)
			tb.Add(fmt.Sprint(parallel), fmt.Sprintf("%.0f", a), fmt.Sprintf("%.0f", b), fmt.Sprintf("%.2f", a/b))
			least = min(least, a/b)
		})
	}
	tb.Write(t, *output)
	aimAt("reference's rate of ADDs ÷ ours, the worst of 1 to 32 at a time", 1/least, 1)
}

// addMany runs the ADDs, some at a time, and then all DELs; it returns ADDs a second.
func (n *node) addMany(s side, parallel int) float64 {
	n.Helper()
	pods := make([]string, *runs)
	for i := range pods {
		pods[i] = n.pod()
	}
	var given given
	each := func(command string, then func(out string) error) time.Duration {
		start := time.Now()
		err := n.each(parallel, len(pods), func(i int) error {
			_, out, err := s.execution(command, s.plugins[0], i, pods[i], "").try()
			if err == nil {
				err = then(out)
			}
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
	took := each("ADD", given.take)
	each("DEL", func(string) error { return nil })
	if left := n.sh("ip -br link show type veth"); left != "" {
		n.Errorf("left after DEL:\n%s", left)
	}
	n.release()
	return float64(len(pods)) / took.Seconds()
}

// given are the addresses that ADDs returned.
type given struct {
	mu        sync.Mutex
	addresses map[string]bool
}

// take refuses an address that another ADD returned.
func (g *given) take(out string) error {
	var result current.Result
	if err := json.Unmarshal([]byte(out), &result); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.addresses == nil {
		g.addresses = map[string]bool{}
	}
	for _, ip := range result.IPs {
		if g.addresses[ip.Address.String()] {
			return fmt.Errorf("%s was given twice", &ip.Address)
		}
		g.addresses[ip.Address.String()] = true
	}
	return nil
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
