package netplug

import (
	"encoding/binary"
	"errors"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/mascri/mascri/spec"
)

// A removal is a link that is out of everybody's reach, while the kernel may
// still be busy with what is left of it. The zero value is one that is over.
type removal struct{ ended <-chan error }

// wait ends with the removal.
func (r removal) wait() error {
	if r.ended == nil {
		return nil
	}
	return <-r.ended
}

// removeHostLink deletes a host's end, and with it the pod's, and waits until
// that is over.
func (k *kernel) removeHostLink(name string) error {
	going, err := k.startRemoving(name)
	return errors.Join(err, going.wait())
}

// startRemoving deletes a host's end. It returns as soon as both ends are gone
// for everybody: taken out of their namespaces' lists, down, and no packet
// under way in them (unregister_netdevice_many_notify in net/core/dev.c). That
// is when a kernel from 6.2 on echoes RTM_DELLINK. The acknowledgement, which
// older ones make us wait for, comes after an rcu_barrier (netdev_run_todo),
// some 5 to 30 ms later.
func (k *kernel) startRemoving(name string) (removal, error) {
	link, err := k.host.LinkByName(name)
	if isNotFound(err) {
		return removal{}, nil
	}
	if err != nil {
		return removal{}, spec.Errorf(spec.Kernel, "look up %s: %w", name, err)
	}
	req := nl.NewNetlinkRequest(unix.RTM_DELLINK, unix.NLM_F_ACK|unix.NLM_F_ECHO)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(link.Attrs().Index)
	req.AddData(msg)

	handle := k.raw[unix.NETLINK_ROUTE]
	req.Seq = atomic.AddUint32(&handle.Seq, 1)
	gone, ended := make(chan struct{}), make(chan error, 2)
	report := func(err error) {
		if isNotFound(err) {
			err = nil
		}
		if err != nil {
			err = spec.Errorf(spec.Kernel, "delete %s: %w", name, err)
		}
		ended <- err
	}
	go func() { // sendto(2) works on the request, to its end
		if err := handle.Socket.Send(req); err != nil {
			report(err)
		}
	}()
	go func() { report(awaitRemoval(handle.Socket, req.Seq, gone)) }()
	select {
	case <-gone:
		return removal{ended}, nil
	case err := <-ended:
		return removal{}, err
	}
}

// removalWait bounds the wait for one removal. Removals queue for a lock (the
// RTNL), and a node that loses its pods at once has one for each of them.
const removalWait = time.Minute

// awaitRemoval reads the answers to the removal: it closes gone at the echo and
// returns what the kernel acknowledges.
func awaitRemoval(socket *nl.NetlinkSocket, seq uint32, gone chan<- struct{}) error {
	for deadline := time.Now().Add(removalWait); ; {
		messages, _, err := socket.Receive()
		if errors.Is(err, unix.EAGAIN) && time.Now().Before(deadline) {
			continue // socketTimeout is over
		}
		if err != nil {
			return err
		}
		for _, m := range messages {
			switch {
			case m.Header.Seq != seq:
			case m.Header.Type == unix.RTM_DELLINK && gone != nil:
				close(gone)
				gone = nil
			case m.Header.Type == unix.NLMSG_ERROR && len(m.Data) >= 4:
				if errno := int32(binary.NativeEndian.Uint32(m.Data)); errno != 0 {
					return syscall.Errno(-errno)
				}
				return nil
			}
		}
	}
}

// removePodLink deletes the pod's end where its host's end has another name
// than ours: the reference plugin made it. A namespace that is gone has taken
// the link with it.
func (k *kernel) removePodLink(cfg Config) error {
	if cfg.Netns == "" {
		return nil
	}
	if k.pod == nil {
		if err := k.openPod(cfg.Netns); err != nil {
			if spec.CodeOf(err) == spec.InvalidNetns {
				return nil
			}
			return err
		}
	}
	link, err := k.pod.LinkByName(cfg.Attachment.IfName)
	if err == nil {
		err = k.pod.LinkDel(link)
	}
	if err == nil || isNotFound(err) {
		return nil
	}
	return spec.Errorf(spec.Kernel, "delete %s in %s: %w", cfg.Attachment.IfName, cfg.Netns, err)
}
