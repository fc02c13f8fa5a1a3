// Package ping asks an address for an ICMP echo, from this network namespace or
// from a pod's: what ping(8) does, where no ping(8) is installed.
package ping

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"github.com/mascri/mascri/netplug/netns"
)

// interval is the pause between two requests; the first one on a new link is
// often lost to address resolution.
const interval = 200 * time.Millisecond

// A dialect is what differs between ICMP and ICMPv6.
type dialect struct {
	network, any   string
	protocol       int // the IANA protocol number, as icmp.ParseMessage wants it
	request, reply icmp.Type
}

var (
	icmp4 = dialect{"ip4:icmp", "0.0.0.0", 1, ipv4.ICMPTypeEcho, ipv4.ICMPTypeEchoReply}
	icmp6 = dialect{"ip6:ipv6-icmp", "::", 58, ipv6.ICMPTypeEchoRequest, ipv6.ICMPTypeEchoReply}
)

// From sends echo requests to an address until one is answered or the context
// ends, and returns how long that answer took. They leave from the network
// namespace at path, or from the caller's where path is "". It needs CAP_NET_RAW
// there, and CAP_SYS_ADMIN to enter another one.
func From(ctx context.Context, path string, to netip.Addr) (time.Duration, error) {
	d := icmp4
	if to.Is6() {
		d = icmp6
	}
	var conn *icmp.PacketConn
	open := func() (err error) {
		conn, err = icmp.ListenPacket(d.network, d.any)
		return err
	}
	// A socket belongs to the namespace it was made in, wherever it is used.
	err := func() error {
		if path == "" {
			return open()
		}
		return netns.Do(path, open)
	}()
	if err != nil {
		return 0, fmt.Errorf("ping %s: %w", to, err)
	}
	defer conn.Close() // nothing is buffered that closing could lose
	took, err := d.exchange(ctx, conn, to)
	if err != nil {
		return 0, fmt.Errorf("ping %s: %w", to, err)
	}
	return took, nil
}

// exchange repeats the request until the context ends.
func (d dialect) exchange(ctx context.Context, conn *icmp.PacketConn, to netip.Addr) (time.Duration, error) {
	// A raw socket hears every reply on the machine; the identifier is ours.
	echo := &icmp.Echo{ID: rand.IntN(1 << 16), Data: []byte("mascri")}
	for echo.Seq = 1; ; echo.Seq++ {
		request, err := (&icmp.Message{Type: d.request, Body: echo}).Marshal(nil)
		if err != nil {
			return 0, err
		}
		sent := time.Now()
		if _, err := conn.WriteTo(request, &net.IPAddr{IP: to.AsSlice(), Zone: to.Zone()}); err != nil {
			return 0, err
		}
		if err := conn.SetReadDeadline(sent.Add(interval)); err != nil {
			return 0, err
		}
		err = d.awaitReply(conn, echo.ID)
		if err == nil {
			return time.Since(sent), nil
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return 0, err
		}
		if ctx.Err() != nil {
			return 0, fmt.Errorf("%d requests unanswered: %w", echo.Seq, context.Cause(ctx))
		}
	}
}

// awaitReply reads until a reply to our identifier arrives or the deadline
// passes.
func (d dialect) awaitReply(conn *icmp.PacketConn, id int) error {
	buffer := make([]byte, 1500)
	for {
		n, _, err := conn.ReadFrom(buffer)
		if err != nil {
			return err
		}
		message, err := icmp.ParseMessage(d.protocol, buffer[:n])
		if err != nil {
			continue // somebody else's packet, and not ours to judge
		}
		if echo, ok := message.Body.(*icmp.Echo); ok && message.Type == d.reply && echo.ID == id {
			return nil
		}
	}
}
