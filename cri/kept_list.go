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

// answer gives an answer its list, which make makes unless the one that is kept is
// still right. Fields that a message does not know are sent as they are: so the
// list is not decoded to be encoded again.
func (k *keptList) answer(answer, filter proto.Message, s *Server, make func() ([]byte, error)) error {
	at, known := s.version() // before the list is made: what changes meanwhile is not in it
	known = known && proto.Size(filter) == 0
	k.mu.Lock()
	wire := k.wire
	fresh := known && wire != nil && k.at == at && time.Since(k.made) < keptFor
	k.mu.Unlock()
	if !fresh {
		var err error
		if wire, err = make(); err != nil {
			return err
		}
	}
	if known && !fresh {
		k.mu.Lock()
		k.at, k.made, k.wire = at, time.Now(), wire
		k.mu.Unlock()
	}
	answer.ProtoReflect().SetUnknown(wire)
	return nil
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
