//go:build privileged

package filter

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/mascri/mascri/netplug/netns"
	"github.com/mascri/mascri/netplug/netns/netnstest"
)

// A lab is a host of its own with two pods behind a bridge and a machine
// outside that knows no way to the pods:
//
//	pod A .5 ─┐
//	          cni0 10.22.0.1/16 fd00:22::1/64 ─ host ─ 192.0.2.1/24 2001:db8::1/64 ─ .2 outside
//	pod B .6 ─┘
//
// The test's thread is in the host's namespace and is never unlocked, so the
// namespace ends with the test. t.Run is another thread: make the lab inside.
type lab struct {
	*testing.T
	a, b, outside string // paths of the namespaces
	conn          *Conn
}

var (
	podA4, podA6       = netip.MustParseAddr("10.22.0.5"), netip.MustParseAddr("fd00:22::5")
	podB4, podB6       = netip.MustParseAddr("10.22.0.6"), netip.MustParseAddr("fd00:22::6")
	host4, host6       = netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	outside4, outside6 = netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("2001:db8::2")
	pods4, pods6       = netip.MustParsePrefix("10.22.0.0/16"), netip.MustParsePrefix("fd00:22::/64")
)

// newHost puts the test's thread into a namespace of its own.
func newHost(t *testing.T) *lab {
	t.Helper()
	netnstest.Enter(t)
	l := &lab{T: t}
	l.run("ip link set lo up")
	conn, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	l.conn = conn
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func newLab(t *testing.T) *lab {
	t.Helper()
	l := newHost(t)
	l.run(`sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0
		ip link add cni0 type bridge && ip link set cni0 up
		ip addr add 10.22.0.1/16 dev cni0 && ip addr add fd00:22::1/64 dev cni0 nodad
		sysctl -qw net.ipv4.conf.cni0.route_localnet=1`)
	l.a = l.attach("veth-a", "10.22.0.5/16", "fd00:22::5/64", "10.22.0.1", "fd00:22::1", "master cni0")
	l.b = l.attach("veth-b", "10.22.0.6/16", "fd00:22::6/64", "10.22.0.1", "fd00:22::1", "master cni0")
	l.outside = l.attach("up0", "192.0.2.2/24", "2001:db8::2/64", "", "", "")
	l.run("ip addr add 192.0.2.1/24 dev up0 && ip addr add 2001:db8::1/64 dev up0 nodad")
	return l
}

// attach makes a namespace behind a veth pair and returns its path.
func (l *lab) attach(host, addr4, addr6, gateway4, gateway6, options string) string {
	l.Helper()
	path := netnstest.New(l)
	l.run(fmt.Sprintf(`ip link add %s type veth peer name eth0 netns %s
		ip link set %s %s up`, host, path, host, options))
	script := fmt.Sprintf(`ip link set lo up; sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.eth0.accept_dad=0
		ip addr add %s dev eth0; ip addr add %s dev eth0 nodad; ip link set eth0 up`, addr4, addr6)
	if gateway4 != "" {
		script += fmt.Sprintf("; ip route add default via %s; ip route add default via %s", gateway4, gateway6)
	}
	l.in(path, script)
	return path
}

// run runs a shell script on the host.
func (l *lab) run(script string) string {
	l.Helper()
	out, err := exec.Command("sh", "-ec", script).CombinedOutput()
	if err != nil {
		l.Fatalf("%s: %v\n%s", script, err, out)
	}
	return string(out)
}

// in runs a shell script in another namespace.
func (l *lab) in(path, script string) string {
	l.Helper()
	out, err := exec.Command("nsenter", "--net="+path, "sh", "-ec", script).CombinedOutput()
	if err != nil {
		l.Fatalf("in %s: %s: %v\n%s", path, script, err, out)
	}
	return string(out)
}

// step is what package netplug's plan is made of.
type step interface {
	String() string
	Apply(*Conn) error
	Check(*Conn) error
}

// apply commits the steps as one transaction and checks that they hold.
func (l *lab) apply(steps ...step) {
	l.Helper()
	for _, s := range steps {
		if err := s.Apply(l.conn); err != nil {
			l.Fatalf("%s: %v", s, err)
		}
	}
	if err := l.conn.Flush(); err != nil {
		l.Fatal(err)
	}
	for _, s := range steps {
		if err := s.Check(l.conn); err != nil {
			l.Errorf("after %s: %v", s, err)
		}
	}
}

// serve answers on a port with the address that the client seems to have.
func (l *lab) serve(path, network string, addr netip.AddrPort) {
	l.Helper()
	err := inside(path, func() error {
		if strings.HasPrefix(network, "udp") {
			conn, err := net.ListenPacket(network, addr.String())
			if err != nil {
				return err
			}
			l.Cleanup(func() { l.close(conn) })
			go answerPackets(conn)
			return nil
		}
		listener, err := net.Listen(network, addr.String())
		if err != nil {
			return err
		}
		l.Cleanup(func() { l.close(listener) })
		go answerStreams(listener)
		return nil
	})
	if err != nil {
		l.Fatal(err)
	}
}

func (l *lab) close(c io.Closer) {
	if err := c.Close(); err != nil {
		l.Error(err)
	}
}

func answerPackets(conn net.PacketConn) {
	buffer := make([]byte, 64)
	for {
		_, from, err := conn.ReadFrom(buffer)
		if err != nil {
			return // closed at the end of the test
		}
		reply(conn, from)
	}
}

// reply answers one packet; a client that is gone gets none.
func reply(conn net.PacketConn, to net.Addr) {
	host, _, err := net.SplitHostPort(to.String())
	if err == nil {
		_, err = conn.WriteTo([]byte(host), to)
	}
	if err != nil && !errors.Is(err, net.ErrClosed) {
		fmt.Fprintln(os.Stderr, "lab:", err)
	}
}

func answerStreams(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return // closed at the end of the test
		}
		host, _, err := net.SplitHostPort(conn.RemoteAddr().String())
		if err == nil {
			_, err = io.WriteString(conn, host)
		}
		if err = errors.Join(err, conn.Close()); err != nil {
			fmt.Fprintln(os.Stderr, "lab:", err)
		}
	}
}

// inside runs f in the namespace; "" is the host's.
func inside(path string, f func() error) error {
	if path == "" {
		return f()
	}
	return netns.Do(path, f)
}

// ask connects from a namespace and returns the answer: the address it is seen with.
func ask(path, network string, to netip.AddrPort, from string, patience time.Duration) (answer string, err error) {
	err = inside(path, func() error {
		dialer := net.Dialer{Timeout: patience}
		if from != "" {
			local, err := net.ResolveUDPAddr(network, from)
			if err != nil {
				return err
			}
			dialer.LocalAddr = local
		}
		conn, err := dialer.Dial(network, to.String())
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, conn.Close()) }()
		if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
		if strings.HasPrefix(network, "udp") {
			if _, err := io.WriteString(conn, "who am I"); err != nil {
				return err
			}
		}
		buffer := make([]byte, 64)
		n, err := conn.Read(buffer)
		answer = string(buffer[:n])
		return err
	})
	return answer, err
}

// seen asks and expects the client to be seen with that address.
func (l *lab) seen(path, network string, to netip.AddrPort, want netip.Addr) {
	l.Helper()
	got, err := ask(path, network, to, "", 3*time.Second)
	if err != nil || got != want.String() {
		l.Errorf("%s to %s: seen as %q, want %s (%v)", network, to, got, want, err)
	}
}

// refused asks and expects no answer.
func (l *lab) refused(path, network string, to netip.AddrPort) {
	l.Helper()
	if got, err := ask(path, network, to, "", 300*time.Millisecond); err == nil {
		l.Errorf("%s to %s answered %q, want no answer", network, to, got)
	}
}
