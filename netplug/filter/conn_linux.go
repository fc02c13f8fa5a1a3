package filter

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// A Conn collects changes to the packet filter of one network namespace. Each
// step's Apply only queues; Flush reads what it needs and commits all as one
// transaction. A Conn is for one goroutine.
type Conn struct {
	netns  *os.File // the namespace
	nft    *nftables.Conn
	socket *netlink.Conn // the socket under nft, for what the library cannot read
	large  bool          // a transaction did not fit into the socket
	queue  []change
}

// Bounds of waiting: for one answer of the kernel, and for others to stop
// changing what a transaction is about.
const (
	answerTimeout = 10 * time.Second
	maxAttempts   = 15
	longestPause  = 50 * time.Millisecond
)

// largeBuffer, in bytes, is for the transaction of a pod with thousands of host
// ports: some 500 bytes a port to send, and as many in acknowledgements. The usual
// buffer (wmem_default in socket(7)) ends at some 300 ports.
const largeBuffer = 64 << 20

// Open connects to the packet filter of the calling thread's network namespace.
// The Conn stays with that namespace whichever thread it is used from.
func Open() (*Conn, error) {
	// /proc/self would be the main thread's, which need not be the same. Being
	// there already saves the library a thread to go there with.
	return open("/proc/thread-self/ns/net", func(*os.File) int { return 0 })
}

// OpenAt connects to the packet filter of the network namespace at path, a file
// of nsfs.
func OpenAt(path string) (*Conn, error) { return open(path, descriptor) }

func open(path string, from func(*os.File) int) (*Conn, error) {
	netns, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open the packet filter: %w", err)
	}
	c := &Conn{netns: netns}
	if err := c.dial(from(netns)); err != nil {
		return nil, errors.Join(err, netns.Close())
	}
	return c, nil
}

func descriptor(netns *os.File) int { return int(netns.Fd()) }

// Close gives the socket back. What was queued and not flushed is forgotten.
func (c *Conn) Close() error {
	c.Discard()
	return errors.Join(c.nft.CloseLasting(), c.netns.Close())
}

// Discard forgets what was queued and not flushed.
func (c *Conn) Discard() { c.queue = nil }

// dial opens a socket in the namespace of that descriptor; 0 is the calling
// thread's.
func (c *Conn) dial(netns int) error {
	// The library takes socket options as functions of the socket it made: that
	// is how the same one comes to serve for reading.
	keep := func(s *netlink.Conn) error { c.socket = s; return nil }
	nft, err := nftables.New(nftables.AsLasting(), nftables.WithNetNSFd(netns), nftables.WithSockOptions(keep))
	if err != nil {
		return fmt.Errorf("open a netlink socket to nftables: %w", err)
	}
	c.nft = nft
	if !c.large {
		return nil
	}
	if err := errors.Join(c.socket.SetWriteBuffer(largeBuffer), c.socket.SetReadBuffer(largeBuffer)); err != nil {
		return fmt.Errorf("enlarge the buffers of the netlink socket: %w", err)
	}
	return nil
}

// redial replaces the socket. After an error it may still hold answers to
// messages of the past, which the next request would take for its own.
func (c *Conn) redial() error {
	return errors.Join(c.nft.CloseLasting(), c.dial(descriptor(c.netns)))
}

// Flush commits all queued changes as one transaction: either everything holds
// afterwards, or nothing was changed. A clash with another process is retried
// from the reading on, a bounded number of times. The queue is empty afterwards,
// also after an error.
func (c *Conn) Flush() error {
	queue := c.queue
	c.queue = nil
	if len(queue) == 0 {
		return nil
	}
	var err error
	pause := time.Millisecond
	for range maxAttempts {
		var flows []flow
		if flows, err = c.attempt(queue); err == nil {
			return c.forget(flows)
		}
		if !clashed(err) {
			break
		}
		time.Sleep(pause)
		pause = min(2*pause, longestPause)
	}
	return fmt.Errorf("commit to nftables: %w", err)
}

// attempt runs every change against the present state and commits the batch. It
// returns the connections whose way has changed by it.
func (c *Conn) attempt(queue []change) ([]flow, error) {
	b := newBatch(c)
	err := b.run(queue)
	if err == nil {
		err = c.commit()
	}
	if err != nil {
		c.large = c.large || errors.Is(err, unix.EMSGSIZE) || errors.Is(err, unix.ENOBUFS)
		return nil, errors.Join(err, c.redial())
	}
	return b.flows, nil
}

// commit sends the batch and waits until the kernel has accepted all of it.
func (c *Conn) commit() error {
	if err := c.socket.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		return err
	}
	return c.nft.Flush()
}

// clashed tells whether trying again may help: another transaction was faster
// (what was read is gone or already there), or an answer was lost, or there is
// room for the whole now.
func clashed(err error) bool {
	for _, retry := range []error{
		unix.EBUSY, unix.EEXIST, unix.ENOENT, unix.EINTR, unix.ENOBUFS, unix.EMSGSIZE, unix.EAGAIN, unix.ERESTART, os.ErrDeadlineExceeded,
	} {
		if errors.Is(err, retry) {
			return true
		}
	}
	return false
}
