package docker

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
)

// Action is what happened, or that the stream of events has a gap.
type Action string

// What happens to containers and images, and the two signals of the stream
// itself.
const (
	ActionCreate Action = "create"
	ActionStart  Action = "start"
	ActionDie    Action = "die" // Event.ExitCode is set
	ActionOOM    Action = "oom"
	ActionRemove Action = "destroy"
	ActionPause  Action = "pause"
	ActionResume Action = "unpause"
	ActionUpdate Action = "update"
	ActionRename Action = "rename"

	// ActionImage: an image was pulled, loaded, imported, committed, tagged or
	// removed. That one was built without a tag, Docker tells from 27 on.
	ActionImage Action = "image"
	// ActionResync: the stream is up, for the first time or again; what
	// happened before may have been missed, so list anew.
	ActionResync Action = "resync"
	// ActionLost: the stream broke, Event.Err says why; it is being restored.
	ActionLost Action = "lost"
)

// Event is one thing that happened in the engine.
type Event struct {
	Action Action
	ID     string            // the container's, or the image's
	Labels map[string]string // the container's labels and the engine's attributes
	Time   time.Time
	// ExitCode of the container that died.
	ExitCode int
	// Err of ActionLost.
	Err error
}

// The delay before the event stream is reopened doubles from one to the other.
const (
	firstReconnect = 100 * time.Millisecond
	lastReconnect  = 5 * time.Second
)

// Events reports what happens to containers and images, from since on (the
// zero Time: from now), until ctx ends. The stream survives restarts of the
// engine: after each break it is reopened from the last event seen and
// ActionResync follows, whereupon the caller has to list anew, since an engine
// keeps only its last 256 events and none over a restart. Events may be seen
// twice. Both channels are closed at the end, when the second has given ctx's
// error. The caller must keep reading the first.
func (e *Engine) Events(ctx context.Context, since time.Time) (<-chan Event, <-chan error) {
	out, ended := make(chan Event, 64), make(chan error, 1)
	go func() {
		defer close(ended)
		defer close(out)
		s := eventStream{engine: e, out: out, since: since}
		ended <- s.run(ctx)
	}()
	return out, ended
}

// eventStream follows the engine's events over as many connections as it takes.
type eventStream struct {
	engine *Engine
	out    chan<- Event
	since  time.Time
	delay  time.Duration
}

func (s *eventStream) run(ctx context.Context) error {
	for {
		err := s.follow(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		s.engine.log.Warn("event stream of the Docker engine broke, reopening it", "error", err)
		s.send(ctx, Event{Action: ActionLost, Time: time.Now(), Err: classify(err)})
		s.delay = min(max(2*s.delay, firstReconnect), lastReconnect)
		select {
		case <-time.After(s.delay):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// follow passes on the events of one connection until it breaks.
func (s *eventStream) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	hung := time.AfterFunc(s.engine.timeout, cancel)
	messages, failed := s.engine.client.Events(ctx, s.query())
	hung.Stop()
	// The client does not say whether that stream is up; where the engine is
	// away this request fails too.
	if _, err := s.engine.Version(ctx); err != nil {
		return err
	}
	s.send(ctx, Event{Action: ActionResync, Time: time.Now()})
	for {
		select {
		case message := <-messages:
			s.delay = 0
			event, known := eventFrom(message)
			s.since = event.Time
			if known {
				s.send(ctx, event)
			}
		case err := <-failed:
			return fmt.Errorf("read events: %w: %w", ErrUnavailable, err)
		}
	}
}

// send hands an event over, or drops it when nobody will read any more.
func (s *eventStream) send(ctx context.Context, event Event) {
	select {
	case s.out <- event:
	case <-ctx.Done():
	}
}

func (s *eventStream) query() events.ListOptions {
	options := events.ListOptions{Filters: filters.NewArgs(
		filters.Arg("type", string(events.ContainerEventType)),
		filters.Arg("type", string(events.ImageEventType)),
	)}
	if !s.since.IsZero() {
		options.Since = fmt.Sprintf("%d.%09d", s.since.Unix(), s.since.Nanosecond())
	}
	return options
}

// eventFrom maps an engine's event; known is false for those that change
// nothing the CRI reports, such as attach or exec_start.
func eventFrom(m events.Message) (event Event, known bool) {
	event = Event{
		Action: Action(m.Action),
		ID:     m.Actor.ID,
		Labels: m.Actor.Attributes,
		Time:   time.Unix(0, m.TimeNano),
	}
	if m.Type == events.ImageEventType {
		event.Action = ActionImage
		return event, true
	}
	switch event.Action {
	case ActionDie:
		// Absent or odd means an engine that does not say; inspect does.
		event.ExitCode, _ = strconv.Atoi(m.Actor.Attributes["exitCode"])
		return event, true
	case Action(events.ActionCommit): // to an image; where that gets no tag, nothing else tells of it
		event.Action, event.ID = ActionImage, m.Actor.Attributes["imageID"]
		return event, true
	case ActionCreate, ActionStart, ActionOOM, ActionRemove, ActionPause, ActionResume, ActionUpdate, ActionRename:
		return event, true
	}
	return event, false
}
