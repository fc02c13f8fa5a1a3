//go:build e2e && linux

package test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/mascri/mascri/cmd/mascri/ping"
	"github.com/mascri/mascri/netplug/netns"
)

// Outside is a second machine on a wire to the node: a network namespace with
// an address that pods can only reach through the node.
const outsideNetns = "outside"

var (
	nodeOutside  = netip.MustParseAddr("192.0.2.1") // the node's end of the wire
	outsideHost  = netip.MustParseAddr("192.0.2.2")
	nodeOutside6 = netip.MustParseAddr("2001:db8::1")
	outsideHost6 = netip.MustParseAddr("2001:db8::2")
)

// outsidePath is the file of the outside's namespace, as ip-netns(8) makes it.
const outsidePath = "/run/netns/" + outsideNetns

// newOutside makes the outside, for as long as the test runs. It knows no route
// back to the pods: only masqueraded traffic is answered.
func newOutside(t *testing.T) {
	t.Helper()
	shell(t, "ip", "netns", "add", outsideNetns)
	t.Cleanup(func() {
		ctx, cancel := testContext()
		defer cancel()
		output(t, ctx, "ip", "netns", "delete", outsideNetns)
	})
	shell(t, "ip", "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", outsideNetns)
	t.Cleanup(func() {
		ctx, cancel := testContext()
		defer cancel()
		output(t, ctx, "ip", "link", "delete", "wire")
	})
	for _, at := range []struct {
		command   []string
		addresses []netip.Addr
	}{
		{[]string{"ip"}, []netip.Addr{nodeOutside, nodeOutside6}},
		{[]string{"ip", "-netns", outsideNetns}, []netip.Addr{outsideHost, outsideHost6}},
	} {
		for _, address := range at.addresses {
			bits, extra := "24", []string{}
			if address.Is6() {
				bits, extra = "64", []string{"nodad"}
			}
			command := append(at.command[1:len(at.command):len(at.command)], "address", "add", address.String()+"/"+bits, "dev", "wire")
			shell(t, "ip", append(command, extra...)...)
		}
		shell(t, "ip", append(at.command[1:len(at.command):len(at.command)], "link", "set", "wire", "up")...)
	}
}

// pings fails the test unless an address answers an echo request that leaves
// from the namespace at path ("" is the node itself).
func pings(t *testing.T, path string, to netip.Addr) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, err := ping.From(ctx, path, to); err != nil {
		t.Errorf("from %q: %v", path, err)
	}
}

// in runs a function in the namespace at path; "" is the node's own.
func in(path string, f func() error) error {
	if path == "" {
		return f()
	}
	return netns.Do(path, f)
}

// serveTCP listens in the namespace at path and tells each client the address
// that it comes from, until the test ends.
func serveTCP(t *testing.T, path, address string) {
	t.Helper()
	var listener net.Listener
	err := in(path, func() (err error) {
		listener, err = net.Listen("tcp", address)
		return err
	})
	if err != nil {
		t.Fatalf("listen on %s in %q: %v", address, path, err)
	}
	t.Cleanup(func() { _ = listener.Close() }) // the accept loop ends with it
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, conn.RemoteAddr().String()) // the client will miss it
			_ = conn.Close()
		}
	}()
}

// dialTCP connects from the namespace at path and returns the address that the
// server saw.
func dialTCP(ctx context.Context, path, address string) (seen netip.Addr, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var conn net.Conn
	err = in(path, func() (err error) {
		// A socket belongs to the namespace of the thread that makes it, so no
		// second goroutine may: one address, no name, no fallback.
		dialer := net.Dialer{FallbackDelay: -1}
		conn, err = dialer.DialContext(ctx, "tcp", address)
		return err
	})
	if err != nil {
		return netip.Addr{}, fmt.Errorf("from %q: %w", path, err)
	}
	defer conn.Close() // it has been read to its end
	text, err := io.ReadAll(conn)
	if err != nil {
		return netip.Addr{}, err
	}
	from, err := netip.ParseAddrPort(string(text))
	return from.Addr().Unmap(), err
}

// reaches fails the test unless a TCP server answers.
func reaches(t *testing.T, path, address string) netip.Addr {
	t.Helper()
	seen, err := dialTCP(t.Context(), path, address)
	if err != nil {
		t.Errorf("dial %s %v", address, err)
	}
	return seen
}
