package cri

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/mascri/mascri/cri/docker"
)

// resyncInterval is how often all containers are asked for again, should an
// event have been lost on the way.
const resyncInterval = 5 * time.Minute

// memory is an engine that remembers its answers about our containers, and is
// told by the engine's events when they change. The kubelet asks for lists and
// states several times a second; an answer takes the engine milliseconds, or
// tens of them with many containers.
//
// It is never behind our own calls: each that changes a container asks for it
// anew before it returns. While no events come, every question goes to the
// engine.
type memory struct {
	Workload
	// oneClock: the engine's events are stamped by this machine's clock.
	oneClock bool

	mu       sync.Mutex
	live     bool // events come, and what came before them is known
	turn     uint64
	doubt    uint64                // counts how often the memory was distrusted
	known    map[string]remembered // by ID
	creating map[string]bool       // names of the containers being created
	version  uint64                // counts the changes of known
}

// remembered is what the engine answered to the question with that number. An
// answer gives way to one whose question was asked later, so that a late answer
// cannot bring back an old state.
type remembered struct {
	container docker.Container
	gone      bool
	turn      uint64
	asked     time.Time
}

func newMemory(engine Workload, oneClock bool) *memory {
	return &memory{Workload: engine, oneClock: oneClock, known: map[string]remembered{}, creating: map[string]bool{}}
}

// Inspect answers from memory where the container is ours and events come.
func (m *memory) Inspect(ctx context.Context, id string) (docker.Container, error) {
	m.mu.Lock()
	found, ok := m.known[id]
	live := m.live
	m.mu.Unlock()
	if live && ok && !found.gone {
		return found.container, nil
	}
	return m.ask(ctx, id)
}

// ask asks the engine, and remembers.
func (m *memory) ask(ctx context.Context, id string) (docker.Container, error) {
	answer := m.question()
	c, err := m.Workload.Inspect(ctx, id)
	switch {
	case err == nil && c.Labels[labelKind] != "":
		answer.container = c
		m.remember(c.ID, answer)
	case errors.Is(err, docker.ErrNotFound):
		answer.gone = true
		m.remember(id, answer)
	}
	return c, err
}

// question numbers a question that is put now.
func (m *memory) question() remembered {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turn++
	return remembered{turn: m.turn, asked: time.Now()}
}

func (m *memory) remember(id string, answer remembered) {
	m.mu.Lock()
	defer m.mu.Unlock()
	old, known := m.known[id]
	if old.turn > answer.turn || !known && answer.gone {
		return
	}
	m.known[id] = answer
	m.version++
}

// List answers from memory where it is about our containers and events come.
func (m *memory) List(ctx context.Context, labels map[string]string) ([]docker.Container, error) {
	m.mu.Lock()
	if _, ours := labels[labelKind]; !m.live || !ours {
		m.mu.Unlock()
		return m.Workload.List(ctx, labels)
	}
	defer m.mu.Unlock()
	found := make([]docker.Container, 0, len(m.known)) // large structs: not to be moved often
	for _, one := range m.known {
		if !one.gone && carriesLabels(one.container.Labels, labels) {
			found = append(found, one.container)
		}
	}
	return found, nil
}

// carriesLabels: an empty value stands for any, as in the engine's own filter.
func carriesLabels(labels, wanted map[string]string) bool {
	for key, value := range wanted {
		if got, ok := labels[key]; !ok || value != "" && got != value {
			return false
		}
	}
	return true
}

// changed asks for a container anew after a call that may have changed it, also
// when that failed. Should the question fail too, nothing is known for sure any
// more, and the engine is asked until the events have caught up.
func (m *memory) changed(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), refreshTimeout)
	defer cancel()
	if _, err := m.ask(ctx, id); err != nil && !errors.Is(err, docker.ErrNotFound) {
		m.distrust()
	}
}

// happened asks for a container anew after an event, unless a call of ours does
// or did: most events tell of our own calls. The engine stamps an event when the
// change is made, so that an answer to a later question has it.
func (m *memory) happened(ctx context.Context, event docker.Event) {
	m.mu.Lock()
	known, ok := m.known[event.ID]
	asked := m.oneClock && ok && known.asked.After(event.Time)
	creating := event.Action == docker.ActionCreate && m.creating[event.Labels["name"]]
	m.mu.Unlock()
	if !asked && !creating {
		m.changed(ctx, event.ID)
	}
}

// learn asks for a container that is not known yet: the event of a create of ours
// may come before that returns.
func (m *memory) learn(ctx context.Context, id string) {
	m.mu.Lock()
	_, known := m.known[id]
	m.mu.Unlock()
	if !known {
		m.changed(ctx, id)
	}
}

// refreshTimeout bounds the question after a change.
const refreshTimeout = 10 * time.Second

// changes tells how often what is remembered has changed, and whether it is kept
// current.
func (m *memory) changes() (version uint64, live bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.version, m.live
}

func (m *memory) distrust() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.live = false
	m.doubt++
}

// reload asks for all of our containers, and trusts the events from then on.
func (m *memory) reload(ctx context.Context) error {
	m.mu.Lock()
	begin, doubt := m.turn, m.doubt
	m.mu.Unlock()
	listed, err := m.Workload.List(ctx, map[string]string{labelKind: ""})
	if err != nil {
		return err
	}
	for _, c := range listed {
		if _, err := m.ask(ctx, c.ID); err != nil && !errors.Is(err, docker.ErrNotFound) {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, one := range m.known {
		if one.turn <= begin { // it is not listed any more
			delete(m.known, id)
			m.version++
		}
	}
	m.live = m.doubt == doubt // else something changed unseen meanwhile
	return nil
}

// CreateSandbox creates, and remembers what a list shows of it. All of it is
// asked for after the start that follows at once; during that, a question would
// have to wait.
func (m *memory) CreateSandbox(ctx context.Context, spec docker.SandboxSpec) (string, error) {
	defer m.create(spec.Name)()
	id, err := m.Workload.CreateSandbox(ctx, spec)
	if err != nil {
		m.changed(ctx, spec.Name) // it may be there all the same
		return id, err
	}
	answer := m.question()
	answer.container = docker.Container{
		ID: id, Name: spec.Name, Image: docker.PauseImage, Labels: spec.Labels, State: docker.Created, Created: answer.asked,
	}
	m.remember(id, answer)
	return id, nil
}

// CreateContainer creates, and remembers.
func (m *memory) CreateContainer(ctx context.Context, spec docker.ContainerSpec) (string, error) {
	defer m.create(spec.Name)()
	id, err := m.Workload.CreateContainer(ctx, spec)
	if err != nil {
		m.changed(ctx, spec.Name) // it may be there all the same
		return id, err
	}
	m.changed(ctx, id)
	return id, nil
}

// create notes the name of a container while it is being created.
func (m *memory) create(name string) (created func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.creating[name] = true
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.creating, name)
	}
}

// Start starts, and remembers.
func (m *memory) Start(ctx context.Context, id string) error {
	defer m.changed(ctx, id)
	return m.Workload.Start(ctx, id)
}

// Stop stops, and remembers.
func (m *memory) Stop(ctx context.Context, id string, grace time.Duration) error {
	defer m.changed(ctx, id)
	return m.Workload.Stop(ctx, id, grace)
}

// Kill kills, and remembers.
func (m *memory) Kill(ctx context.Context, id, signal string) error {
	defer m.changed(ctx, id)
	return m.Workload.Kill(ctx, id, signal)
}

// Update updates, and remembers.
func (m *memory) Update(ctx context.Context, id string, r docker.Resources) error {
	defer m.changed(ctx, id)
	return m.Workload.Update(ctx, id, r)
}

// Remove removes, and forgets. It may be given a name, which is not what
// containers are remembered by.
func (m *memory) Remove(ctx context.Context, id string) error {
	defer m.changed(ctx, m.idOf(id))
	return m.Workload.Remove(ctx, id)
}

func (m *memory) idOf(name string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, one := range m.known {
		if one.container.Name == name {
			return id
		}
	}
	return name
}
