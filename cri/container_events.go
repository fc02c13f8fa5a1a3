package cri

import (
	"context"
	"errors"
	"sync"
	"time"

	"google.golang.org/grpc"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mascri/mascri/cri/docker"
)

// eventBacklog is how many events a caller of GetContainerEvents may be behind.
// One that is further behind has its call ended, and lists anew when it calls
// again: better than to miss events without a word.
const eventBacklog = 1024

// errBehind ends the call of a subscriber that reads too slowly.
var errBehind = errors.New("the caller does not read events as fast as they come: call again, and list the containers")

// subscribers are the calls of GetContainerEvents under way.
type subscribers struct {
	mu  sync.Mutex
	all map[chan *runtimeapi.ContainerEventResponse]bool
}

func (s *subscribers) add() chan *runtimeapi.ContainerEventResponse {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[chan *runtimeapi.ContainerEventResponse]bool{}
	}
	events := make(chan *runtimeapi.ContainerEventResponse, eventBacklog)
	s.all[events] = true
	return events
}

// remove ends a subscription; its channel is closed once.
func (s *subscribers) remove(events chan *runtimeapi.ContainerEventResponse) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(events)
}

func (s *subscribers) drop(events chan *runtimeapi.ContainerEventResponse) {
	if s.all[events] {
		delete(s.all, events)
		close(events)
	}
}

func (s *subscribers) empty() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.all) == 0
}

func (s *subscribers) send(event *runtimeapi.ContainerEventResponse) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for events := range s.all {
		select {
		case events <- event:
		default:
			s.drop(events)
		}
	}
}

// GetContainerEvents sends what happens to containers and sandboxes from now on,
// until the caller leaves or the daemon stops.
func (c *containers) GetContainerEvents(_ *runtimeapi.GetEventsRequest, out grpc.ServerStreamingServer[runtimeapi.ContainerEventResponse]) error {
	events := c.events.add()
	defer c.events.remove(events)
	for {
		select {
		case event, open := <-events:
			if !open {
				return errBehind
			}
			if err := out.Send(event); err != nil {
				return err
			}
		case <-out.Context().Done():
			return out.Context().Err()
		}
	}
}

// watch follows the engine's events until ctx ends. What is remembered is
// brought up to date at once; what takes longer waits its turn.
func (c *containers) watch(ctx context.Context) {
	events, ended := c.engine.Events(ctx, time.Time{})
	queue := make(chan docker.Event, eventBacklog)
	c.running.Go(func() {
		for event := range queue {
			c.handle(ctx, event)
		}
	})
	defer close(queue)
	tick := time.NewTicker(resyncInterval)
	defer tick.Stop()
	for {
		event, open := docker.Event{Action: docker.ActionResync}, true
		select {
		case <-tick.C:
		case event, open = <-events:
		}
		if !open {
			<-ended // ctx's own error
			return
		}
		switch event.Action {
		case docker.ActionLost:
			tick.Stop() // nothing that is asked for now would be kept current
		case docker.ActionResync:
			tick.Reset(resyncInterval)
		}
		c.note(ctx, event)
		select {
		case queue <- event:
		case <-ctx.Done():
		}
	}
}

// note brings the memory up to date with an event.
func (c *containers) note(ctx context.Context, event docker.Event) {
	switch {
	case event.Action == docker.ActionLost:
		c.images.distrust()
		c.engine.distrust()
	case event.Action == docker.ActionResync:
		c.images.trust()
		c.reload(ctx)
	case event.Action == docker.ActionImage:
		c.images.drop()
	case event.Labels[labelKind] != "":
		c.engine.happened(ctx, event)
	}
}

// reload asks for all containers. Without an answer the engine goes on being
// asked each time.
func (c *containers) reload(ctx context.Context) {
	if err := c.engine.reload(ctx); err != nil && ctx.Err() == nil {
		c.engine.distrust()
		c.log.Warn("the containers could not be listed; the engine is asked each time until they can", "error", err)
	}
}

var eventTypes = map[docker.Action]runtimeapi.ContainerEventType{
	docker.ActionCreate: runtimeapi.ContainerEventType_CONTAINER_CREATED_EVENT,
	docker.ActionStart:  runtimeapi.ContainerEventType_CONTAINER_STARTED_EVENT,
	docker.ActionDie:    runtimeapi.ContainerEventType_CONTAINER_STOPPED_EVENT,
	docker.ActionRemove: runtimeapi.ContainerEventType_CONTAINER_DELETED_EVENT,
}

// handle keeps the logs in step with a container's life, and tells those who
// asked. A log is complete before its container's end is told.
func (c *containers) handle(ctx context.Context, event docker.Event) {
	if event.Action == docker.ActionResync {
		if err := c.resumeLogs(ctx); err != nil && ctx.Err() == nil {
			c.log.Error("some logs could not be resumed", "error", err)
		}
		if err := c.recoverVanished(ctx); err != nil && ctx.Err() == nil {
			c.log.Error("what removed sandboxes left is not ended whole", "error", err)
		}
		c.catchUp(ctx)
		return
	}
	if event.Labels[labelKind] == "" {
		return
	}
	switch {
	case event.Action == docker.ActionCreate && event.Labels[labelKind] == kindSandbox:
		if err := c.removeLate(ctx, event.ID, event.Labels["name"]); err != nil && ctx.Err() == nil {
			c.log.Error("a sandbox that came too late stays", "sandbox", event.ID, "error", err)
		}
	case event.Action == docker.ActionRemove:
		c.removed(ctx, event)
	case event.Action == docker.ActionDie && event.Labels[labelKind] == kindContainer:
		if err := c.resumeLog(ctx, event.ID); err != nil {
			c.log.Error("a log could not be completed", "container", event.ID, "error", err)
		}
	}
	c.tell(ctx, event)
}

// eventOf describes an event with the state of the whole pod as it is now. Both
// parts are there or neither is: a sandbox without its containers would read as
// a pod whose containers are gone.
func (c *containers) eventOf(ctx context.Context, kind runtimeapi.ContainerEventType, event docker.Event) *runtimeapi.ContainerEventResponse {
	answer := &runtimeapi.ContainerEventResponse{
		ContainerId: event.ID, ContainerEventType: kind, CreatedAt: event.Time.UnixNano(),
	}
	if event.Action == docker.ActionCreate {
		c.engine.learn(ctx, event.ID)
	}
	sandbox := event.ID
	if event.Labels[labelKind] == kindContainer {
		sandbox = event.Labels[labelSandbox]
	}
	pod, err := c.PodSandboxStatus(ctx, &runtimeapi.PodSandboxStatusRequest{PodSandboxId: sandbox})
	if err != nil { // it is gone, or the engine is
		return answer
	}
	statuses, err := c.statuses(ctx, sandbox)
	if err != nil {
		return answer
	}
	answer.PodSandboxStatus, answer.ContainersStatuses = pod.GetStatus(), statuses
	return answer
}

// statuses are the states of all containers of a sandbox.
func (c *containers) statuses(ctx context.Context, sandbox string) ([]*runtimeapi.ContainerStatus, error) {
	found, err := c.containersOf(ctx, sandbox)
	if err != nil {
		return nil, err
	}
	var all []*runtimeapi.ContainerStatus
	for _, one := range found {
		w, err := c.findContainer(ctx, one.ID)
		if err == nil {
			w, err = c.awaitOOM(ctx, w)
		}
		if errors.Is(err, errNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, c.statusOf(w))
	}
	return all, nil
}
