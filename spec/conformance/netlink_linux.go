package conformance

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// message is a netlink request: the fixed header of its family, then
// attributes. The suite needs a dozen messages to look at a namespace and to
// damage it, and depends on no netlink library for that: a fault such a
// library shares with the plugin under test would stay invisible.
type message struct {
	kind  uint16
	flags uint16
	body  []byte
}

// attribute appends one attribute, padded to four bytes (netlink(7)).
func (m message) attribute(kind uint16, value []byte) message {
	m.body = binary.NativeEndian.AppendUint16(m.body, uint16(unix.SizeofNlAttr+len(value)))
	m.body = binary.NativeEndian.AppendUint16(m.body, kind)
	m.body = append(m.body, value...)
	for len(m.body)%unix.NLA_ALIGNTO != 0 {
		m.body = append(m.body, 0)
	}
	return m
}

func (m message) uint32(kind uint16, value uint32) message {
	return m.attribute(kind, binary.NativeEndian.AppendUint32(nil, value))
}

func (m message) encode(sequence uint32) []byte {
	var b []byte
	b = binary.NativeEndian.AppendUint32(b, uint32(unix.SizeofNlMsghdr+len(m.body)))
	b = binary.NativeEndian.AppendUint16(b, m.kind)
	b = binary.NativeEndian.AppendUint16(b, m.flags|unix.NLM_F_REQUEST)
	b = binary.NativeEndian.AppendUint32(b, sequence)
	b = binary.NativeEndian.AppendUint32(b, 0)
	return append(b, m.body...)
}

// reply is one message of an answer.
type reply struct {
	kind uint16
	body []byte
}

// dumpTries bounds how often an interrupted dump is read again.
const dumpTries = 20

// exchange sends the messages as one datagram and reads until the kernel has
// acknowledged the one that asked for it, or finished the dump. A dump that a
// change interrupted may lack something, and is read again.
func exchange(protocol int, messages ...message) (replies []reply, err error) {
	for range dumpTries {
		if replies, err = exchangeOnce(protocol, messages); !errors.Is(err, unix.EINTR) {
			return replies, err
		}
	}
	return nil, fmt.Errorf("netlink dump, %d times: %w", dumpTries, err)
}

func exchangeOnce(protocol int, messages []message) ([]reply, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return nil, fmt.Errorf("netlink socket: %w", err)
	}
	defer unix.Close(fd)
	// The kernel answers within the send; the bound is for the case that it
	// loses the answer.
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5}); err != nil {
		return nil, fmt.Errorf("netlink timeout: %w", err)
	}
	var datagram []byte
	for i, m := range messages {
		datagram = append(datagram, m.encode(uint32(i+1))...)
	}
	if err := unix.Sendto(fd, datagram, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, fmt.Errorf("netlink send: %w", err)
	}
	return receive(fd)
}

func receive(fd int) (replies []reply, err error) {
	var interrupted error
	buffer := make([]byte, 1<<18)
	for {
		n, _, err := unix.Recvfrom(fd, buffer, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("netlink receive: %w", err)
		}
		part, done, err := split(buffer[:n])
		replies = append(replies, part...)
		if errors.Is(err, unix.EINTR) { // its rest is still to come
			interrupted, err = err, nil
		}
		if err != nil || done {
			return replies, errors.Join(err, interrupted)
		}
	}
}

// split takes a datagram apart. It is done after the end of a dump or an
// acknowledgement. The error is EINTR where a dump was interrupted.
func split(b []byte) (replies []reply, done bool, err error) {
	for len(b) >= unix.SizeofNlMsghdr {
		size := int(binary.NativeEndian.Uint32(b))
		if size < unix.SizeofNlMsghdr || size > len(b) {
			return nil, false, errors.New("netlink: message with a wrong length")
		}
		kind, body := binary.NativeEndian.Uint16(b[4:]), b[unix.SizeofNlMsghdr:size]
		if binary.NativeEndian.Uint16(b[6:])&unix.NLM_F_DUMP_INTR != 0 {
			err = unix.EINTR
		}
		switch kind {
		case unix.NLMSG_DONE:
			return replies, true, err
		case unix.NLMSG_ERROR:
			return replies, true, acknowledgement(body)
		}
		replies = append(replies, reply{kind, append([]byte(nil), body...)})
		b = b[min(align(size), len(b)):]
	}
	return replies, false, err
}

func acknowledgement(body []byte) error {
	if len(body) < 4 {
		return errors.New("netlink: acknowledgement without a code")
	}
	if code := int32(binary.NativeEndian.Uint32(body)); code != 0 {
		return unix.Errno(-code)
	}
	return nil
}

// attributes takes a list of attributes apart; the last of a kind counts.
func attributes(b []byte) map[uint16][]byte {
	all := map[uint16][]byte{}
	eachAttribute(b, func(kind uint16, value []byte) { all[kind] = value })
	return all
}

func eachAttribute(b []byte, f func(kind uint16, value []byte)) {
	for len(b) >= unix.SizeofNlAttr {
		size := int(binary.NativeEndian.Uint16(b))
		if size < unix.SizeofNlAttr || size > len(b) {
			return
		}
		// The two highest bits are flags (NLA_F_NESTED, NLA_F_NET_BYTEORDER).
		f(binary.NativeEndian.Uint16(b[2:])&0x3fff, b[unix.SizeofNlAttr:size])
		b = b[min(align(size), len(b)):]
	}
}

func align(n int) int { return (n + unix.NLA_ALIGNTO - 1) &^ (unix.NLA_ALIGNTO - 1) }

// number reads an attribute of four bytes; 0 where it is absent.
func number(value []byte) uint32 {
	if len(value) < 4 {
		return 0
	}
	return binary.NativeEndian.Uint32(value)
}
