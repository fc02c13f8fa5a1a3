//go:build bench

package bench

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mascri/mascri/test/figures"
)

// side is one of the two that are compared: a list of plugins that are run one
// after the other, as libcni runs them.
type side struct {
	dir     string
	plugins []string
	config  func(plugin string) string
}

// sides makes both sides of a comparison from the bridge's extra keys and, with
// ports, host ports for each container: our bridge has them itself, the
// reference chains portmap.
func (n *node) sides(name, keys, backend string, ports bool) (ours, reference side) {
	ipam := func(kind, subnet string) string {
		return fmt.Sprintf(`"ipam":{"type":%q,"dataDir":%q,"subnet":%q,"routes":[{"dst":"0.0.0.0/0"}]}`, kind, n.data+"/"+kind, subnet)
	}
	head := fmt.Sprintf(`"cniVersion":"1.0.0","name":%q`, name)
	ourPorts := ""
	if ports {
		ourPorts = placeOfPorts
	}
	ours = side{n.ours, []string{"netplug"}, func(string) string {
		return fmt.Sprintf(`{%s,"type":"netplug","bridge":"br-ours","isGateway":true,%s%s%s}`, head, keys, ipam("ipam", "10.64.0.0/12"), ourPorts)
	}}
	plugins := []string{"bridge"}
	if ports {
		plugins = append(plugins, "portmap")
	}
	reference = side{n.reference, plugins, func(plugin string) string {
		if plugin == "portmap" {
			return fmt.Sprintf(`{%s,"type":"portmap","backend":%q%s}`, head, backend, placeOfPorts)
		}
		return fmt.Sprintf(`{%s,"type":"bridge","bridge":"br-ref","isGateway":true,"ipMasqBackend":%q,%s%s}`, head, backend, keys, ipam("host-local", "10.80.0.0/12"))
	}}
	return ours, reference
}

// placeOfPorts is where a configuration has its host ports.
const placeOfPorts = "PORTS"

// mapped are the two host ports of the i-th container.
func mapped(i int) string {
	return fmt.Sprintf(`,"runtimeConfig":{"portMappings":[{"hostPort":%d,"containerPort":80,"protocol":"tcp"},{"hostPort":%d,"containerPort":53,"protocol":"udp"}]}`, 20000+2*i, 20001+2*i)
}

// add runs the ADD of each plugin and returns the sum of their durations.
func (s side) add(n *node, i int, netns string) time.Duration {
	n.Helper()
	var total time.Duration
	prev := ""
	for _, plugin := range s.plugins {
		took, out := n.run(s.execution("ADD", plugin, i, netns, prev))
		total += took
		prev = out
	}
	return total
}

// del runs the DELs in reverse order.
func (s side) del(n *node, i int, netns string) time.Duration {
	n.Helper()
	var total time.Duration
	for j := len(s.plugins) - 1; j >= 0; j-- {
		took, _ := n.run(s.execution("DEL", s.plugins[j], i, netns, ""))
		total += took
	}
	return total
}

func (s side) execution(command, plugin string, i int, netns, prev string) execution {
	config := strings.Replace(s.config(plugin), placeOfPorts, mapped(i), 1)
	if prev != "" {
		config = strings.TrimSuffix(config, "}") + `,"prevResult":` + prev + "}"
	}
	return execution{dir: s.dir, plugin: plugin, command: command, id: fmt.Sprintf("c%05d", i), netns: netns, config: config}
}

// contestant is one of those that are compared.
type contestant interface {
	add(n *node, i int, netns string) time.Duration
	del(n *node, i int, netns string) time.Duration
}

// compare lets the contestants take turns, pod by pod, each as often first as the
// others, and returns the durations of each one's ADDs and DELs.
func (n *node) compare(all ...contestant) (adds, dels []figures.Series) {
	n.Helper()
	adds, dels = make([]figures.Series, len(all)), make([]figures.Series, len(all))
	for i := range *runs {
		pods := make([]string, len(all))
		for c := range all {
			pods[c] = n.pod()
		}
		for turn := range all {
			c := (i + turn) % len(all)
			adds[c] = append(adds[c], all[c].add(n, i, pods[c]))
		}
		for turn := range all {
			c := (i + turn) % len(all)
			dels[c] = append(dels[c], all[c].del(n, i, pods[c]))
		}
	}
	return adds, dels
}

// TestPlugins compares ADD and DEL.
func TestPlugins(t *testing.T) {
	tb := figures.Table{Name: "plugins", Header: []string{fmt.Sprintf("operation, p50 of %d on each side", *runs), "ours, ms", "reference, ms", "ratio", "floor, ms", "ours ÷ floor"}}
	for _, c := range []struct {
		name, keys, backend string
		ports               bool
		add, del            float64 // the ratios that are aimed at; 0: none
	}{
		{name: "plain", backend: "nftables", add: 0.6},
		{name: "with ipMasq (reference: iptables)", keys: `"ipMasq":true,`, backend: "iptables", add: 0.25, del: 0.4},
		{name: "with ipMasq (reference: nftables)", keys: `"ipMasq":true,`, backend: "nftables", add: 0.2, del: 0.4},
		{name: "with ipMasq and 2 host ports (reference: iptables)", keys: `"ipMasq":true,`, backend: "iptables", ports: true, add: 0.1},
		{name: "with ipMasq and 2 host ports (reference: nftables)", keys: `"ipMasq":true,`, backend: "nftables", ports: true, add: 0.1},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newNode(t)
			ours, reference := n.sides("bench", c.keys, c.backend, c.ports)
			adds, dels := n.compare(ours, reference, n.floor())
			row := func(op string, took []figures.Series, aim float64) {
				tb.Add(op+" "+c.name, figures.MS(took[0].P50()), figures.MS(took[1].P50()), figures.Ratio(took[0], took[1]), figures.MS(took[2].P50()), figures.Ratio(took[0], took[2]))
				if aim != 0 {
					aimAt(op+" "+c.name+", ÷ reference", figures.Quotient(took[0], took[1]), aim)
				}
			}
			row("ADD", adds, c.add)
			row("DEL", dels, c.del)
			if c.name == "plain" {
				n.aimAtFloor(adds[0], adds[2])
			}
			if c.del != 0 {
				aimAt("DEL "+c.name+", ÷ the kernel's own removal of a link", figures.Quotient(dels[0], dels[2]), 1.3)
			}
		})
	}
	tb.Write(t, *output)
}

// aimAtFloor compares plain ADDs with what they consist of at the least: the
// floor, and two programs that start.
func (n *node) aimAtFloor(ours, floor figures.Series) {
	var bare figures.Series
	for range *runs {
		took, _ := n.run(execution{dir: filepath.Dir(n.bare), plugin: filepath.Base(n.bare)})
		bare = append(bare, took)
	}
	least := floor.P50() + 2*bare.P50()
	aimAt("ADD plain, ÷ (floor + two bare Go programs: "+figures.MS(least)+" ms)", float64(ours.P50())/float64(least), 2)
}
