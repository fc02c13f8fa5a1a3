package filter

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// exchange sends requests in one message to the kernel and hands every answer
// to take, until that says that it was the last. It reads from the socket
// itself: the library's Receive costs two system calls and a goroutine for each
// answer, and an ADD has dozens. NETLINK_NETFILTER answers while it takes the
// request, so nothing here waits, except for a dump's next part.
func (c *Conn) exchange(requests []netlink.Message, take func(answer) (last bool, err error)) error {
	return subsystem{c.socket, nfgenmsg}.exchange(requests, take)
}

// A subsystem is what a socket speaks to.
type subsystem struct {
	socket *netlink.Conn
	header int // length of what precedes an object's attributes
}

// nfgenmsg is the header's length in NETLINK_NETFILTER.
const nfgenmsg = 4

func (s subsystem) exchange(requests []netlink.Message, take func(answer) (last bool, err error)) error {
	if err := s.socket.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		return err
	}
	sent, err := s.socket.SendMessages(requests)
	if err != nil {
		return err
	}
	raw, err := s.socket.SyscallConn()
	if err != nil {
		return err
	}
	r := reader{header: s.header, first: sent[0].Header.Sequence, last: sent[len(sent)-1].Header.Sequence, take: take}
	if err := raw.Read(r.read); err != nil {
		return err
	}
	return r.err
}

// An answer is one message from the kernel.
type answer struct {
	header []byte // an object's
	object []byte // its attributes
	err    error  // the kernel's errno, instead of an object
	done   bool   // the end of a dump, or an acknowledgement
}

type reader struct {
	header      int
	first, last uint32
	take        func(answer) (bool, error)
	err         error
}

// largestPart is more than the kernel puts into one part of a dump (32 KiB).
const largestPart = 64 << 10

// read takes what is there. It returns false to wait for more.
func (r *reader) read(fd uintptr) bool {
	buffer := make([]byte, largestPart)
	for {
		n, _, err := unix.Recvfrom(int(fd), buffer, unix.MSG_TRUNC)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return false
		case errors.Is(err, unix.EINTR):
			continue
		case err == nil && n > len(buffer):
			err = fmt.Errorf("an answer of %d bytes: %w", n, unix.EMSGSIZE)
		}
		if err != nil {
			r.err = err
			return true
		}
		done, err := r.datagram(buffer[:n])
		if done || err != nil {
			r.err = err
			return true
		}
	}
}

func (r *reader) datagram(data []byte) (done bool, err error) {
	messages, err := syscall.ParseNetlinkMessage(data)
	if err != nil {
		return false, err
	}
	for _, m := range messages {
		if m.Header.Seq < r.first || m.Header.Seq > r.last {
			continue // to a request of the past, which an error ended early
		}
		if done, err := r.take(decodeAnswer(m, r.header)); done || err != nil {
			return done, err
		}
	}
	return false, nil
}

// decodeAnswer tells objects, errors and the end of a dump apart. The message
// that ends an interrupted dump is marked like its others (netlink_dump_done in
// net/netlink/af_netlink.c).
func decodeAnswer(m syscall.NetlinkMessage, header int) (a answer) {
	switch {
	case m.Header.Type == unix.NLMSG_ERROR || m.Header.Type == unix.NLMSG_DONE:
		a.done = true
		if len(m.Data) >= 4 {
			if errno := int32(nativeEndian.Uint32(m.Data)); errno < 0 {
				a.err = syscall.Errno(-errno)
			}
		}
	case len(m.Data) > header:
		data := append([]byte(nil), m.Data...)
		a.header, a.object = data[:header:header], data[header:]
	}
	if m.Header.Flags&unix.NLM_F_DUMP_INTR != 0 {
		a.err = unix.EINTR
	}
	return a
}
