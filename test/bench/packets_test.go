//go:build bench

package bench

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/mascri/mascri/netplug/netns"
	"github.com/mascri/mascri/test/figures"
)

// What one packet costs grows with the rules that it passes. Only the first of a
// connection passes them (conntrack does the rest), so each measurement is a
// datagram from a new port, and its echo.
const (
	manyPorts = 5000
	firstPort = 24000
	echoPort  = 53
)

// TestPackets measures the way of a new connection's first packet: out through
// masquerade, with one pod and with many on the node, and in through a host port,
// the only one and the last of 5,000.
func TestPackets(t *testing.T) {
	tb := figures.Table{Name: "packets", Header: []string{"first packet of a connection and its echo, p50", "ours, µs", "÷ first row", "reference, µs", "÷ first row"}}
	for _, backend := range []string{"iptables", "nftables"} {
		t.Run("masquerade, "+backend, func(t *testing.T) {
			many := fmt.Sprintf("%d pods", *runs)
			compareWays(t, &tb, backend, fmt.Sprintf("masquerade (reference: %s)", backend), "one pod", many, (*network).masquerade)
		})
	}
	t.Run("host ports", func(t *testing.T) {
		compareWays(t, &tb, "nftables", "host port (reference: nftables)", "the only one", fmt.Sprintf("the last of %d", manyPorts), (*network).hostPort)
	})
	tb.Write(t, *output)
}

// compareWays measures both sides' way for a packet, alone and with many beside
// it, in turns, and adds two rows.
func compareWays(t *testing.T, tb *figures.Table, backend, what, alone, beside string, way func(*network, bool) func() time.Duration) {
	t.Helper()
	var took [2][2]figures.Series // by many or not, by side
	for many := range 2 {
		// A node for each: rules of one side would cost the other's packets time.
		var ways [2]func() time.Duration
		var nodes [2]*node
		for side := range ways {
			nodes[side] = newNode(t)
			w := network{node: nodes[side], outside: nodes[side].outside()}
			w.side = w.pick(side, backend)
			ways[side] = way(&w, many == 1)
		}
		for range 5 * *runs {
			for side := range ways {
				took[many][side] = append(took[many][side], ways[side]())
			}
		}
		nodes[0].release()
		nodes[1].release()
	}
	for many, name := range []string{alone, beside} {
		cells := []string{what + ": " + name}
		for side := range 2 {
			cells = append(cells, fmt.Sprintf("%.0f", float64(took[many][side].P50())/1e3), figures.Ratio(took[many][side], took[0][side]))
		}
		tb.Add(cells...)
	}
	aimAt(what+", "+beside+" ÷ "+alone, figures.Quotient(took[1][0], took[0][0]), 1.15)
}

// network is one side's network on a node that has a way out.
type network struct {
	*node
	side    side
	outside string // the namespace beyond the node's uplink
	pods    int
}

// pick takes our side, 0, or the reference's, 1.
func (n *node) pick(which int, backend string) side {
	ours, reference := n.sides("packets", `"ipMasq":true,`, backend, true)
	return []side{ours, reference}[which]
}

// Addresses on the uplink (RFC 5737): the node's and the outside's.
var (
	nodeAddress    = netip.MustParseAddr("192.0.2.1")
	outsideAddress = netip.MustParseAddr("192.0.2.2")
)

// outside makes a namespace beyond an uplink of the node.
func (n *node) outside() string {
	n.Helper()
	path := n.pod()
	n.sh(fmt.Sprintf("ip link add uplink type veth peer name eth0 netns %[1]s; ip addr add %[2]s/24 dev uplink; ip link set uplink up; "+
		"nsenter --net=%[1]s ip addr add %[3]s/24 dev eth0; nsenter --net=%[1]s ip link set eth0 up", path, nodeAddress, outsideAddress))
	return path
}

// attach adds a pod with these host ports, and gives its namespace and address.
func (w *network) attach(ports string) (netns string, address netip.Addr) {
	w.Helper()
	netns = w.pod()
	w.pods++
	prev := ""
	for _, plugin := range w.side.plugins {
		e := w.side.execution("ADD", plugin, w.pods, netns, prev)
		e.config = strings.Replace(e.config, mapped(w.pods), ports, 1)
		_, prev = w.run(e)
	}
	out := w.sh("nsenter --net=" + netns + " ip -4 -br addr show eth0 | sed 's/.* \\([0-9.]*\\)\\/.*/\\1/'")
	address, err := netip.ParseAddr(strings.TrimSpace(out))
	if err != nil {
		w.Fatalf("the pod's address: %v", err)
	}
	return netns, address
}

// masquerade is a pod's way out; with many, as many pods more are on the node.
func (w *network) masquerade(many bool) func() time.Duration {
	for i := 1; many && i < *runs; i++ {
		w.attach("")
	}
	pod, _ := w.attach("")
	w.echo(w.outside, nodeAddress)
	return w.client(pod, netip.AddrPortFrom(outsideAddress, echoPort))
}

// hostPort is the way in to a pod; with many, through the last of its ports.
func (w *network) hostPort(many bool) func() time.Duration {
	count := 1
	if many {
		count = manyPorts
	}
	pod, _ := w.attach(manyMapped(count))
	w.echo(pod, outsideAddress)
	return w.client(w.outside, netip.AddrPortFrom(nodeAddress, uint16(firstPort+count-1)))
}

// manyMapped are that many host ports, from firstPort on.
func manyMapped(count int) string {
	var all []string
	for i := range count {
		all = append(all, fmt.Sprintf(`{"hostPort":%d,"containerPort":%d,"protocol":"udp"}`, firstPort+i, echoPort))
	}
	return `,"runtimeConfig":{"portMappings":[` + strings.Join(all, ",") + `]}`
}

// echo answers datagrams in a namespace until the test ends. Another sender than
// the expected one means that the packet filter did not do its work.
func (w *network) echo(path string, expected netip.Addr) {
	w.Helper()
	var conn *net.UDPConn
	err := netns.Do(path, func() (err error) {
		conn, err = net.ListenUDP("udp4", &net.UDPAddr{Port: echoPort})
		return err
	})
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { conn.Close() })
	go func() {
		buffer := make([]byte, 16)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buffer)
			if err != nil {
				return // closed
			}
			if from.Addr() == expected {
				_, _ = conn.WriteToUDPAddrPort(buffer[:n], from) // what is lost is missed by the client
			}
		}
	}()
}

// client sends one datagram from a new port, and returns when the echo was there.
func (w *network) client(path string, to netip.AddrPort) func() time.Duration {
	return func() (took time.Duration) {
		w.Helper()
		err := netns.Do(path, func() error {
			conn, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(to))
			if err != nil {
				return err
			}
			defer conn.Close()
			if err := conn.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
				return err
			}
			start := time.Now()
			if _, err := conn.Write([]byte("ping")); err != nil {
				return err
			}
			if _, err := conn.Read(make([]byte, 16)); err != nil {
				return err
			}
			took = time.Since(start)
			return nil
		})
		if err != nil {
			w.Fatalf("no echo from %s: %v\n%s", to, err, w.sh("nft list ruleset | head -n 60"))
		}
		return took
	}
}
