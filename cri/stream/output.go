package stream

import (
	"fmt"
	"sync"
)

// maxSyncOutput bounds stdout and stderr together. The kubelet refuses gRPC
// messages above 16 MiB (maxMsgSize in its CRI client), so a full buffer a
// stream would lose both; the difference is room for the rest of the message.
const maxSyncOutput = 16<<20 - 64<<10

// collector keeps the first bytes of two streams, up to a limit for both
// together, and counts the rest: a command that is not read blocks.
type collector struct {
	mu             sync.Mutex
	room           int
	dropped        int64
	stdout, stderr []byte
}

func newCollector() *collector { return &collector{room: maxSyncOutput} }

// sink is one of the collector's streams as a writer.
type sink struct {
	c    *collector
	data *[]byte
}

func (s sink) Write(b []byte) (int, error) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	kept := min(len(b), s.c.room)
	*s.data = append(*s.data, b[:kept]...)
	s.c.room -= kept
	s.c.dropped += int64(len(b) - kept)
	return len(b), nil
}

// result ends the collection: what is written later changes nothing. That the
// output was cut is said at the end of stderr, the one place a caller shows.
func (c *collector) result() (stdout, stderr []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	stdout, stderr = c.stdout, c.stderr
	if c.dropped > 0 {
		stderr = fmt.Appendf(stderr, "\n[output truncated: %d bytes kept, %d dropped]\n",
			len(c.stdout)+len(c.stderr), c.dropped)
	}
	c.stdout, c.stderr, c.room, c.dropped = nil, nil, 0, 0
	return stdout, stderr
}
