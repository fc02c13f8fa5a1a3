//go:build privileged

package differential

import (
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/mascri/mascri/netplug/netns"
)

// packets notes who can reach whom, and as whom. Rules are not compared: the
// same effect has many texts.
func (r *run) packets() {
	pod := r.pods[0]
	addresses := r.addresses()
	r.serve(r.outside, "7000")
	r.serve(pod, "8080")
	for _, address := range addresses {
		outside := outsideV4
		if strings.Contains(address, ":") {
			outside = outsideV6
		}
		family := map[bool]string{true: "IPv4", false: "IPv6"}[outside == outsideV4]
		r.note("packets/"+family+": the outside sees the pod as", r.seenAs(r.ask(pod, "tcp", outside, "7000"), addresses))
		r.note("packets/"+family+": the pod sees the node as", r.ask(r.node, "tcp", address, "8080"))
		if r.second {
			r.note("packets/"+family+": the pod sees the second pod as", r.ask(r.pods[1], "tcp", address, "8080"))
		}
	}
	for _, port := range r.ports {
		r.hostPort(port)
	}
	if r.spoof {
		r.withForeignMAC(pod, func() {
			r.note("packets/with a foreign MAC the outside sees the pod as", r.seenAs(r.ask(pod, "tcp", outsideV4, "7000"), addresses))
		})
	}
}

// withForeignMAC runs f while the pod sends from a MAC that nobody gave it.
func (r *run) withForeignMAC(pod string, f func()) {
	in := "nsenter --net=" + pod + " "
	own := r.list(pod, "ip", "-j", "link", "show", "eth0")[0]["address"]
	r.sh(in + "ip link set eth0 address 02:00:00:00:00:66")
	f()
	r.sh(fmt.Sprintf("%sip link set eth0 address %s", in, own))
}

// hostPort notes who reaches the pod through a port of the node.
func (r *run) hostPort(p hostPort) {
	port := fmt.Sprint(p.port)
	from := []struct{ name, netns, address string }{
		{"from the outside", r.outside, nodeV4},
		{"from the outside over IPv6", r.outside, nodeV6},
		{"from the node", r.node, nodeV4},
		{"from the node at 127.0.0.1", r.node, "127.0.0.1"},
		{"from the pod itself", r.pods[0], nodeV4},
	}
	if r.second {
		from = append(from, struct{ name, netns, address string }{"from the second pod", r.pods[1], nodeV4})
	}
	for _, f := range from {
		seen := r.ask(f.netns, p.protocol, f.address, port)
		r.note(fmt.Sprintf("packets/host port %d/%s %s the pod sees", p.port, p.protocol, f.name), seen)
	}
}

// addresses are the first pod's, without their prefix length.
func (r *run) addresses() (all []string) {
	ips, _ := r.result["ips"].([]any)
	for _, entry := range ips {
		ip, _ := entry.(object)
		address, _, _ := strings.Cut(fmt.Sprint(ip["address"]), "/")
		all = append(all, address)
	}
	for _, key := range []string{"ip4", "ip6"} { // results before 0.3.0
		if old, ok := r.result[key].(object); ok {
			address, _, _ := strings.Cut(fmt.Sprint(old["ip"]), "/")
			all = append(all, address)
		}
	}
	return all
}

// seenAs says whose address an answer names.
func (r *run) seenAs(seen string, pod []string) string {
	for _, address := range pod {
		if seen == address {
			return "itself"
		}
	}
	if seen == nodeV4 || seen == nodeV6 {
		return "the node"
	}
	return seen
}

// serve answers, on a port of every address of a namespace, with the address
// that the question came from: over TCP to each connection, over UDP to each
// packet.
func (r *run) serve(path, port string) {
	r.Helper()
	var listener net.Listener
	var packets net.PacketConn
	err := netns.Do(path, func() (err error) {
		listener, err = net.Listen("tcp", ":"+port)
		if err == nil {
			packets, err = net.ListenPacket("udp", ":"+port)
		}
		return err
	})
	if err != nil {
		r.Fatalf("listen on port %s: %v", port, err)
	}
	r.Cleanup(func() { listener.Close(); packets.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			// An asker that has gone does not need its answer.
			_, _ = io.WriteString(conn, host(conn.RemoteAddr()))
			conn.Close()
		}
	}()
	go func() {
		buf := make([]byte, 100)
		for {
			_, from, err := packets.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = packets.WriteTo([]byte(host(from)), from)
		}
	}()
}

func host(a net.Addr) string {
	address, _, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	return strings.TrimPrefix(address, "::ffff:")
}

// An address that is still probed for duplicates cannot be used for a second or
// two; what is compared is the state that follows. Where nothing is answered,
// all attempts are made.
const (
	attempts      = 4
	answerTimeout = 500 * time.Millisecond
)

// ask asks from a namespace which address it is seen as; "nothing" is no answer.
func (r *run) ask(path, protocol, address, port string) string {
	r.Helper()
	for range attempts {
		var text string
		err := netns.Do(path, func() (err error) {
			text, err = question(protocol, net.JoinHostPort(address, port))
			return err
		})
		if err == nil {
			return text
		}
		if !strings.Contains(address, ":") {
			break // IPv4 is not probed for duplicates
		}
		time.Sleep(answerTimeout)
	}
	return "nothing"
}

func question(protocol, address string) (string, error) {
	conn, err := net.DialTimeout(protocol, address, answerTimeout)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		return "", err
	}
	if protocol == "udp" {
		if _, err := io.WriteString(conn, "?"); err != nil {
			return "", err
		}
	}
	buf := make([]byte, 100)
	n, err := conn.Read(buf)
	return string(buf[:n]), err
}
