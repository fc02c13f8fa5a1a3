//go:build e2e && linux

package docker

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// brokenLine is a proxy before the engine whose connections can be cut, which
// is what a restart of the engine looks like.
type brokenLine struct {
	listener net.Listener
	mu       sync.Mutex
	open     []net.Conn
	down     bool
}

func newBrokenLine(t *testing.T, engine string) (*brokenLine, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "docker.sock")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	line := &brokenLine{listener: listener}
	t.Cleanup(func() { _ = listener.Close(); line.cut() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			line.connect(client, engine)
		}
	}()
	return line, "unix://" + path
}

func (l *brokenLine) connect(client net.Conn, engine string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	server, err := net.Dial("unix", engine)
	if err != nil || l.down {
		_ = client.Close()
		return
	}
	l.open = append(l.open, client, server)
	go func() { _, _ = io.Copy(server, client); _ = server.Close() }()
	go func() { _, _ = io.Copy(client, server); _ = client.Close() }()
}

// cut ends all connections and refuses new ones until mend.
func (l *brokenLine) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = true
	for _, c := range l.open {
		_ = c.Close()
	}
	l.open = nil
}

func (l *brokenLine) mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = false
}

// await reads events until one fits.
func await(t *testing.T, events <-chan Event, action Action, id string) Event {
	t.Helper()
	late := time.After(20 * time.Second)
	for {
		select {
		case event := <-events:
			if event.Action == action && (id == "" || event.ID == id) {
				return event
			}
		case <-late:
			t.Fatalf("no event %q for %q in 20 s", action, id)
		}
	}
}

func TestE2EEvents(t *testing.T) {
	e := connect(t)
	line, host := newBrokenLine(t, strings.TrimPrefix(e.Host(), "unix://"))
	watcher, err := Connect(t.Context(), host)
	if err != nil {
		t.Fatal(err)
	}
	defer watcher.Close()
	ctx, cancel := context.WithCancel(t.Context())
	events, ended := watcher.Events(ctx, time.Time{})
	await(t, events, ActionResync, "")

	id := mustCreate(t, e, sandbox(t))
	if created := await(t, events, ActionCreate, id); created.Labels[e2eLabel] != t.Name() || created.Time.IsZero() {
		t.Errorf("create: %+v", created)
	}
	if err := e.Start(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	await(t, events, ActionStart, id)

	line.cut()
	if lost := await(t, events, ActionLost, ""); !errors.Is(lost.Err, ErrUnavailable) {
		t.Errorf("lost: %+v", lost)
	}
	_, err = watcher.Inspect(t.Context(), id)
	wantError(t, "inspect while the engine is away", err, ErrUnavailable)
	if err := e.Kill(t.Context(), id, "KILL"); err != nil {
		t.Fatal(err)
	}
	line.mend()
	await(t, events, ActionResync, "")
	// What happened in between is told after the fact, since the engine lived.
	if died := await(t, events, ActionDie, id); died.ExitCode != 137 {
		t.Errorf("die: %+v", died)
	}
	if err := e.Remove(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	await(t, events, ActionRemove, id)

	cancel()
	for range events { // until it is closed
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
}
