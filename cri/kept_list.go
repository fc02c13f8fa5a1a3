package cri

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/mascri/mascri/cri/podnet"
)

// keptList is the encoded list of all objects. The kubelet asks for it every
// second, and mostly nothing has changed.
type keptList struct {
	mu   sync.Mutex
	at   version
	made time.Time
	wire []byte
}

// keptFor bounds the age of a kept list: a network of the engine's own may be
// taken from a pod by hand, which no version counts.
const keptFor = 10 * time.Second

// version counts the changes of what a list is made of.
type version struct{ containers, network uint64 }

// answer fills an answer by list, or with the list that is kept where that is
// still right. Fields that a message does not know are sent as they are: so a kept
// list is not decoded to be encoded again.
func (k *keptList) answer(s *Server, answer, filter proto.Message, list func() error) error {
	at, known := s.version() // before the list is made: what changes meanwhile is not in it
	known = known && proto.Size(filter) == 0
	if wire := k.fresh(at); known && wire != nil {
		answer.ProtoReflect().SetUnknown(wire)
		return nil
	}
	if err := list(); err != nil || !known {
		return err
	}
	wire, err := proto.Marshal(answer)
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.at, k.made, k.wire = at, time.Now(), wire
	return nil
}

// fresh is the kept list of that version; nil where there is none.
func (k *keptList) fresh(at version) []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.at != at || time.Since(k.made) >= keptFor {
		return nil
	}
	return k.wire
}

// version is that of all lists; known is false where changes are not seen.
func (s *Server) version() (at version, known bool) {
	if s.containers == nil {
		return version{}, false
	}
	at.network = s.network.changes.Load()
	at.containers, known = s.containers.engine.changes()
	return at, known
}

// countingNetwork counts what may change the state of a sandbox.
type countingNetwork struct {
	Network
	changes atomic.Uint64
}

// SetUpPod sets up, and counts.
func (n *countingNetwork) SetUpPod(ctx context.Context, id, netns string, a podnet.Attachment) (podnet.Result, error) {
	defer n.changes.Add(1)
	return n.Network.SetUpPod(ctx, id, netns, a)
}

// TearDownPod tears down, and counts.
func (n *countingNetwork) TearDownPod(ctx context.Context, id string, a *podnet.Attachment) error {
	defer n.changes.Add(1)
	return n.Network.TearDownPod(ctx, id, a)
}

// Settle tears down, and counts.
func (n *countingNetwork) Settle(ctx context.Context) error {
	defer n.changes.Add(1)
	return n.Network.Settle(ctx)
}

// GC tears down, and counts.
func (n *countingNetwork) GC(ctx context.Context, keep []string) error {
	defer n.changes.Add(1)
	return n.Network.GC(ctx, keep)
}
