package conformance

import (
	"errors"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// TestAttributesReadBack: what the suite writes it can read.
func TestAttributesReadBack(t *testing.T) {
	m := message{body: nil}.attribute(1, []byte("eth0\x00")).uint32(2, 7)
	got := attributes(m.body)
	if string(got[1]) != "eth0\x00" || number(got[2]) != 7 || len(m.body)%4 != 0 {
		t.Errorf("attributes read back as %v from %v", got, m.body)
	}
	replies, done, err := split(message{kind: unix.RTM_NEWADDR, body: m.body}.encode(1))
	if err != nil || done || len(replies) != 1 || !slices.Equal(replies[0].body, m.body) {
		t.Errorf("message read back as %v, %v, %v", replies, done, err)
	}
}

// TestInterruptedDump: a mark on any message, the last one as well, is seen.
func TestInterruptedDump(t *testing.T) {
	for _, kind := range []uint16{unix.RTM_NEWADDR, unix.NLMSG_DONE} {
		m := message{kind: kind, flags: unix.NLM_F_DUMP_INTR, body: make([]byte, 4)}
		if _, done, err := split(m.encode(1)); !errors.Is(err, unix.EINTR) || done != (kind == unix.NLMSG_DONE) {
			t.Errorf("kind %d: done %t, %v", kind, done, err)
		}
	}
}

// FuzzSplit: a datagram cut anywhere is an error or less, never a panic.
func FuzzSplit(f *testing.F) {
	m := message{}.attribute(unix.RTA_DST, []byte{10, 0, 0, 0}).uint32(unix.RTA_OIF, 3)
	m.kind, m.body = unix.RTM_NEWROUTE, append(make([]byte, unix.SizeofRtMsg), m.body...)
	f.Add(m.encode(1))
	f.Add(message{kind: unix.NLMSG_ERROR, body: []byte{0xff, 0xff, 0xff, 0xff}}.encode(1))
	f.Add([]byte{1, 2, 3})
	f.Fuzz(func(t *testing.T, datagram []byte) {
		replies, _, err := split(datagram)
		if err != nil {
			return
		}
		for _, r := range replies {
			attributes(r.body)
			if len(r.body) >= unix.SizeofRtMsg {
				decodeRoute(r.body)
			}
		}
	})
}
