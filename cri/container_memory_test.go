//go:build linux

package cri

import (
	"errors"
	"testing"
	"time"

	"github.com/mascri/mascri/cri/docker"
	"github.com/mascri/mascri/cri/dryrun"
)

// newMemoryBench is a memory with one container, "a", that it knows of.
func newMemoryBench(t *testing.T) (*memory, *fakeWorkload) {
	t.Helper()
	engine := &fakeWorkload{fakeEngine: &fakeEngine{Engine: dryrun.NewEngine()}, containers: map[string]docker.Container{}}
	engine.put(docker.Container{ID: "a", Name: "name", Labels: map[string]string{labelKind: kindContainer}, State: docker.Running})
	m := newMemory(engine, true)
	if err := m.reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	return m, engine
}

func (m *memory) stateOf(t *testing.T, id string) docker.State {
	t.Helper()
	c, err := m.Inspect(t.Context(), id)
	if err != nil && !errors.Is(err, docker.ErrNotFound) {
		t.Fatal(err)
	}
	list, err := m.List(t.Context(), map[string]string{labelKind: kindContainer})
	if err != nil {
		t.Fatal(err)
	}
	if listed := len(list) == 1 && list[0].State == c.State; !listed && c.ID != "" || c.ID == "" && len(list) > 0 {
		t.Errorf("inspected as %q, listed as %v", c.State, list)
	}
	return c.State
}

// What is remembered costs the engine nothing, until the events end.
func TestMemorySparesTheEngine(t *testing.T) {
	m, engine := newMemoryBench(t)
	asked := len(engine.calls)
	if state := m.stateOf(t, "a"); state != docker.Running || len(engine.calls) != asked {
		t.Errorf("%s, with %v asked of the engine", state, engine.calls[asked:])
	}
	m.distrust()
	if m.stateOf(t, "a"); len(engine.calls) == asked {
		t.Error("without events, the engine was not asked")
	}
}

// After a call of ours the memory is right before any event came, also when
// the call failed, or only its answer got lost.
func TestMemoryFollowsOurCalls(t *testing.T) {
	m, engine := newMemoryBench(t)
	engine.fail("kill container!", errInjected)
	if err := m.Kill(t.Context(), "a", "SIGKILL"); !errors.Is(err, errInjected) {
		t.Fatal(err)
	}
	if state := m.stateOf(t, "a"); state != docker.Exited {
		t.Errorf("%s after Kill", state)
	}
	if err := m.Remove(t.Context(), "name"); err != nil {
		t.Fatal(err)
	}
	if state := m.stateOf(t, "a"); state != "" {
		t.Errorf("%s after Remove", state)
	}
}

// A change whose outcome could not be asked for makes the memory useless until
// the next reload.
func TestMemoryDoubtsItself(t *testing.T) {
	m, engine := newMemoryBench(t)
	engine.fail("inspect container", errInjected)
	if err := m.Kill(t.Context(), "a", "SIGKILL"); err != nil {
		t.Fatal(err)
	}
	if state := m.stateOf(t, "a"); state != docker.Exited {
		t.Errorf("%s after Kill", state)
	}
}

// An answer that took longer than a later one does not bring the past back, and
// a reload finds out what went unseen.
func TestMemoryPrefersLaterAnswers(t *testing.T) {
	m, engine := newMemoryBench(t)
	old := m.known["a"]
	if err := m.Kill(t.Context(), "a", "SIGKILL"); err != nil {
		t.Fatal(err)
	}
	m.remember("a", old)
	if state := m.stateOf(t, "a"); state != docker.Exited {
		t.Errorf("%s after an old answer came late", state)
	}
	delete(engine.containers, "a")
	if err := m.reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if state := m.stateOf(t, "a"); state != "" {
		t.Errorf("%s after it was removed behind our back and all were asked for", state)
	}
}

// An event of what was asked for since costs nothing; by another clock nothing is
// known of before and after.
func TestMemoryAsksOnceAChange(t *testing.T) {
	m, engine := newMemoryBench(t)
	before := time.Now()
	m.changed(t.Context(), "a")
	asked := len(engine.calls)
	event := docker.Event{Action: docker.ActionStart, ID: "a", Time: before}
	if m.happened(t.Context(), event); len(engine.calls) != asked {
		t.Errorf("the engine was asked again: %v", engine.calls[asked:])
	}
	event.Time = time.Now()
	if m.happened(t.Context(), event); len(engine.calls) != asked+1 {
		t.Errorf("after a later event the engine was asked %d times more, want once", len(engine.calls)-asked)
	}
	m.oneClock = false
	event.Time = before
	if m.happened(t.Context(), event); len(engine.calls) != asked+2 {
		t.Error("by another clock, an event was taken for an old one")
	}
}

// A sandbox is known as soon as it is created, and no question waits for the
// start that follows.
func TestMemoryKnowsANewSandbox(t *testing.T) {
	m, engine := newMemoryBench(t)
	id, err := m.CreateSandbox(t.Context(), docker.SandboxSpec{Name: "pod", Labels: map[string]string{labelKind: kindSandbox}})
	if err != nil {
		t.Fatal(err)
	}
	asked := len(engine.calls)
	list, err := m.List(t.Context(), map[string]string{labelKind: kindSandbox})
	if err != nil || len(list) != 1 || list[0].ID != id || list[0].State != docker.Created || len(engine.calls) != asked {
		t.Errorf("listed %v, %v, with %v asked of the engine", list, err, engine.calls[asked:])
	}
}

// An event may be told of a container whose create has not returned; it is asked
// for once.
func TestMemoryLearnsOfANewContainer(t *testing.T) {
	m, engine := newMemoryBench(t)
	engine.put(docker.Container{ID: "b", Labels: map[string]string{labelKind: kindContainer}, State: docker.Created})
	for range 2 {
		m.learn(t.Context(), "b")
	}
	asked := len(engine.calls)
	if list, err := m.List(t.Context(), map[string]string{labelKind: kindContainer}); err != nil || len(list) != 2 {
		t.Errorf("listed as %v, error %v", list, err)
	}
	m.learn(t.Context(), "b")
	if len(engine.calls) != asked {
		t.Errorf("%v asked of the engine", engine.calls[asked:])
	}
}
