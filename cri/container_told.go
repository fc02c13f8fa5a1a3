package cri

import (
	"context"
	"time"

	"github.com/mascri/mascri/cri/docker"
)

// stage is how far a container is in its life.
type stage int

const (
	unheardOf stage = iota
	created
	started
	stopped
	removed
)

// stageAction is the event with which a container comes to a stage, and
// actionStage the other way.
var (
	stageAction = map[stage]docker.Action{
		created: docker.ActionCreate, started: docker.ActionStart, stopped: docker.ActionDie, removed: docker.ActionRemove,
	}
	actionStage = map[docker.Action]stage{
		docker.ActionCreate: created, docker.ActionStart: started, docker.ActionDie: stopped, docker.ActionRemove: removed,
	}
)

func stageOf(state docker.State) stage {
	switch state {
	case docker.Created:
		return created
	case docker.Running, docker.Paused, docker.Restarting:
		return started
	}
	return stopped
}

// told is what the events sent so far have said of our containers. An engine
// that restarts forgets its events, and one that is asked for them again repeats
// some; with told, each is sent once. Only one goroutine uses it.
type told struct {
	containers map[string]toldContainer // by ID; nil before the first listing
}

type toldContainer struct {
	stage  stage
	labels map[string]string // those that an event is described with
}

// until notes that a container has come to a stage, and returns what has to be
// told: the events that were missed on the way, and none if it was told before.
func (t *told) until(id string, labels map[string]string, to stage) (missed []docker.Action) {
	from := t.containers[id].stage
	if to == removed {
		delete(t.containers, id)
		switch from {
		case unheardOf:
			return nil
		case started:
			return []docker.Action{docker.ActionDie, docker.ActionRemove}
		}
		return []docker.Action{docker.ActionRemove}
	}
	restarted := from == stopped && to == started // by hand; the CRI knows no such thing
	if to <= from && !restarted {
		return nil
	}
	for next := from + 1; next <= to; next++ {
		missed = append(missed, stageAction[next])
	}
	if restarted {
		missed = []docker.Action{docker.ActionStart}
	}
	t.containers[id] = toldContainer{to, map[string]string{labelKind: labels[labelKind], labelSandbox: labels[labelSandbox]}}
	return missed
}

// tell tells those who asked of an event, and of those before it that were
// missed.
func (c *containers) tell(ctx context.Context, event docker.Event) {
	to, known := actionStage[event.Action]
	if !known || c.told.containers == nil {
		return
	}
	for _, action := range c.told.until(event.ID, event.Labels, to) {
		if !c.events.empty() {
			c.events.send(c.eventOf(ctx, eventTypes[action], event))
		}
	}
}

// catchUp tells of what happened while no events came. Of what was there before
// the first ones nobody is told.
func (c *containers) catchUp(ctx context.Context) {
	listed, err := c.engine.List(ctx, map[string]string{labelKind: ""})
	if err != nil {
		return // the engine is away again; when it is back the next listing follows
	}
	first := c.told.containers == nil
	if first {
		c.told.containers = map[string]toldContainer{}
	}
	here := map[string]bool{}
	for _, one := range listed {
		here[one.ID] = true
		if first {
			c.told.until(one.ID, one.Labels, stageOf(one.State))
			continue
		}
		c.tell(ctx, docker.Event{Action: stageAction[stageOf(one.State)], ID: one.ID, Labels: one.Labels, Time: time.Now()})
	}
	for id, gone := range c.told.containers {
		if !here[id] {
			c.tell(ctx, docker.Event{Action: docker.ActionRemove, ID: id, Labels: gone.labels, Time: time.Now()})
		}
	}
}
