package cri

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/mascri/mascri/cri/docker"
)

// imageMemory is an engine that remembers its answers about images. All of them
// are dropped with each event about an image, each call of ours that changes one,
// and each resynchronisation: images change seldom, and a name may come to mean
// another one. While no events come nothing is kept. That an image is not here is
// never kept.
type imageMemory struct {
	Workload

	mu   sync.Mutex
	live bool // events come
	// drops counts how often answers were dropped. One whose question is older
	// than the last drop may be of before the change, and is not kept.
	drops  uint64
	listed bool
	list   []docker.Image
	named  map[string]docker.Image // by the reference asked for
	users  map[string]string       // by image ID, see completed
}

// maxImageNames bounds named: an image goes by as many names as its caller likes,
// the beginnings of its ID among them.
const maxImageNames = 1000

func newImageMemory(engine Workload) *imageMemory {
	return &imageMemory{Workload: engine, named: map[string]docker.Image{}, users: map[string]string{}}
}

// Images answers from memory where events come. What it returns is shared.
func (m *imageMemory) Images(ctx context.Context) ([]docker.Image, error) {
	m.mu.Lock()
	list, listed, asked := m.list, m.listed, m.drops
	m.mu.Unlock()
	if listed {
		return list, nil
	}
	list, err := m.Workload.Images(ctx)
	if err != nil {
		return nil, err
	}
	if !m.complete(ctx, list) {
		return list, nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.live && m.drops == asked {
		m.list, m.listed = list, true
	}
	return list, nil
}

// complete adds the users that the engine does not list. An image's ID names its
// configuration too, so each image is asked for once, whatever becomes of the list.
func (m *imageMemory) complete(ctx context.Context, list []docker.Image) (all bool) {
	m.mu.Lock()
	known := m.users
	m.mu.Unlock()
	users := make(map[string]string, len(list))
	all = true
	for i := range list {
		id := list[i].ID
		user, ok := known[id]
		if !ok {
			found, err := m.Workload.InspectImage(ctx, id)
			if err != nil { // it has gone, or the engine cannot read it: no reason not to list the others
				all = all && errors.Is(err, docker.ErrNotFound)
				continue
			}
			user = found.User
		}
		list[i].User, users[id] = user, user
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.users = users // those of images that are gone are not in it
	return all
}

// InspectImage answers from memory where events come.
func (m *imageMemory) InspectImage(ctx context.Context, ref string) (docker.Image, error) {
	m.mu.Lock()
	found, ok := m.named[ref]
	asked := m.drops
	m.mu.Unlock()
	if ok {
		return found, nil
	}
	found, err := m.Workload.InspectImage(ctx, ref)
	if err != nil {
		return found, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.live && m.drops == asked {
		if len(m.named) >= maxImageNames {
			clear(m.named)
		}
		m.named[ref] = found
	}
	return found, nil
}

// drop forgets all answers, and those still on their way.
func (m *imageMemory) drop() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forget()
}

// trust begins to keep answers: events come from now on.
func (m *imageMemory) trust() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.live = true
	m.forget()
}

// distrust ends it: what changes from now on may go unseen.
func (m *imageMemory) distrust() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.live = false
	m.forget()
}

func (m *imageMemory) forget() {
	m.drops++
	m.list, m.listed = nil, false
	clear(m.named)
}

// Pull pulls, and forgets.
func (m *imageMemory) Pull(ctx context.Context, ref string, auth docker.Auth) (string, error) {
	defer m.drop()
	return m.Workload.Pull(ctx, ref, auth)
}

// RemoveImage removes, and forgets.
func (m *imageMemory) RemoveImage(ctx context.Context, ref string) error {
	defer m.drop()
	return m.Workload.RemoveImage(ctx, ref)
}

// CreateSandbox creates, and may have loaded the pause image for it: a list that
// has it not is an old one, and so may be one on its way.
func (m *imageMemory) CreateSandbox(ctx context.Context, spec docker.SandboxSpec) (string, error) {
	id, err := m.Workload.CreateSandbox(ctx, spec)
	m.mu.Lock()
	defer m.mu.Unlock()
	if !slices.ContainsFunc(m.list, isPause) {
		m.drops++
		m.list, m.listed = nil, false
	}
	return id, err
}
