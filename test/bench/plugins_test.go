//go:build bench

package bench

import (
	"encoding/json"
	"fmt"
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
	ipam := func(kind string) string {
		return fmt.Sprintf(`"ipam":{"type":%q,"dataDir":%q,"subnet":"10.64.0.0/12","routes":[{"dst":"0.0.0.0/0"}]}`, kind, n.data+"/"+kind)
	}
	head := fmt.Sprintf(`"cniVersion":"1.0.0","name":%q`, name)
	const mapped = `,"runtimeConfig":{"portMappings":[{"hostPort":PORT0,"containerPort":80,"protocol":"tcp"},{"hostPort":PORT1,"containerPort":53,"protocol":"udp"}]}`
	ourPorts := ""
	if ports {
		ourPorts = mapped
	}
	ours = side{n.ours, []string{"netplug"}, func(string) string {
		return fmt.Sprintf(`{%s,"type":"netplug","bridge":"br-ours","isGateway":true,%s%s%s}`, head, keys, ipam("ipam"), ourPorts)
	}}
	plugins := []string{"bridge"}
	if ports {
		plugins = append(plugins, "portmap")
	}
	reference = side{n.reference, plugins, func(plugin string) string {
		if plugin == "portmap" {
			return fmt.Sprintf(`{%s,"type":"portmap","backend":%q%s}`, head, backend, mapped)
		}
		return fmt.Sprintf(`{%s,"type":"bridge","bridge":"br-ref","isGateway":true,"ipMasqBackend":%q,%s%s}`, head, backend, keys, ipam("host-local"))
	}}
	return ours, reference
}

// add runs the ADD of each plugin and returns the sum of their times.
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
	config := strings.NewReplacer("PORT0", fmt.Sprint(20000+2*i), "PORT1", fmt.Sprint(20001+2*i)).Replace(s.config(plugin))
	if prev != "" {
		config = strings.TrimSuffix(config, "}") + `,"prevResult":` + prev + "}"
	}
	return execution{dir: s.dir, plugin: plugin, command: command, id: fmt.Sprintf("c%05d", i), netns: netns, config: config}
}

// TestPlugins compares ADD and DEL, taking turns pod by pod.
func TestPlugins(t *testing.T) {
	tb := figures.Table{Name: "plugins", Header: []string{"operation, p50 of each side", "ours, ms", "reference, ms", "ratio", "floor, ms", "ours ÷ floor"}}
	for _, c := range []struct {
		name, keys, backend string
		ports               bool
	}{
		{"plain", "", "nftables", false},
		{"with ipMasq (reference: iptables)", `"ipMasq":true,`, "iptables", false},
		{"with ipMasq (reference: nftables)", `"ipMasq":true,`, "nftables", false},
		{"with ipMasq and 2 host ports (reference: iptables)", `"ipMasq":true,`, "iptables", true},
		{"with ipMasq and 2 host ports (reference: nftables)", `"ipMasq":true,`, "nftables", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newNode(t)
			ours, reference := n.sides("bench", c.keys, c.backend, c.ports)
			var oursAdd, refAdd, oursDel, refDel, floorAdd, floorDel figures.Series
			for i := range *runs {
				a, b := n.pod(), n.pod()
				oursAdd = append(oursAdd, ours.add(n, i, a))
				refAdd = append(refAdd, reference.add(n, i, b))
				add, del := n.floor(i)
				floorAdd, floorDel = append(floorAdd, add), append(floorDel, del)
				oursDel = append(oursDel, ours.del(n, i, a))
				refDel = append(refDel, reference.del(n, i, b))
				n.release()
			}
			row := func(op string, ours, ref, floor figures.Series) {
				tb.Add(op+" "+c.name, figures.MS(ours.P50()), figures.MS(ref.P50()), figures.Ratio(ours, ref), figures.MS(floor.P50()), figures.Ratio(ours, floor))
			}
			row("ADD", oursAdd, refAdd, floorAdd)
			row("DEL", oursDel, refDel, floorDel)
		})
	}
	tb.Write(t, *output)
}

// TestPrograms measures what each start of a plugin costs before it does
// anything: its VERSION.
func TestPrograms(t *testing.T) {
	n := newNode(t)
	tb := figures.Table{Name: "programs", Header: []string{"plugin", "size, MB", "VERSION, p50 ms", "reference", "size, MB", "VERSION, p50 ms"}}
	for _, pair := range [][2]string{{"netplug", "bridge"}, {"ipam", "host-local"}, {"portmap", "portmap"}} {
		var ours, reference figures.Series
		for range *runs {
			took, _ := n.run(execution{dir: n.ours, plugin: pair[0], command: "VERSION", config: `{"cniVersion":"1.0.0"}`})
			ours = append(ours, took)
			took, out := n.run(execution{dir: n.reference, plugin: pair[1], command: "VERSION", config: `{"cniVersion":"1.0.0"}`})
			reference = append(reference, took)
			if !json.Valid([]byte(out)) {
				t.Fatalf("%s VERSION: %s", pair[1], out)
			}
		}
		tb.Add(pair[0], size(t, n.ours, pair[0]), figures.MS(ours.P50()), pair[1], size(t, n.reference, pair[1]), figures.MS(reference.P50()))
	}
	tb.Write(t, *output)
}
