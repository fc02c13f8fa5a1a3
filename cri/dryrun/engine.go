package dryrun

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/mascri/mascri/cri/docker"
)

// Engine is a Docker engine in which containers are only written down.
type Engine struct {
	mu         sync.Mutex
	containers map[string]docker.Container // by ID
}

// NewEngine returns an engine without containers.
func NewEngine() *Engine {
	return &Engine{containers: map[string]docker.Container{}}
}

// Version names no version: there is no engine.
func (e *Engine) Version(context.Context) (docker.Version, error) {
	return docker.Version{Engine: "dry-run", OS: "linux", Arch: runtime.GOARCH}, nil
}

// Info says what the simplest of engines would.
func (e *Engine) Info(context.Context) (docker.Info, error) {
	return docker.Info{CgroupDriver: "cgroupfs", CgroupVersion: 2}, nil
}

// CreateSandbox writes a container down. docker.ErrConflict: its name is taken.
func (e *Engine) CreateSandbox(_ context.Context, spec docker.SandboxSpec) (string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range e.containers {
		if c.Name == spec.Name {
			return "", fmt.Errorf("create %s: %w: the name is in use by %s", spec.Name, docker.ErrConflict, c.ID)
		}
	}
	var id [32]byte
	if _, err := rand.Read(id[:]); err != nil {
		return "", fmt.Errorf("create %s: %w", spec.Name, err)
	}
	c := docker.Container{
		ID:      hex.EncodeToString(id[:]),
		Name:    spec.Name,
		Labels:  spec.Labels,
		State:   docker.Created,
		Created: time.Now(),
	}
	e.containers[c.ID] = c
	return c.ID, nil
}

// Start sets a container's state.
func (e *Engine) Start(_ context.Context, id string) error { return e.set(id, docker.Running) }

// Kill sets a container's state.
func (e *Engine) Kill(_ context.Context, id, _ string) error { return e.set(id, docker.Exited) }

func (e *Engine) set(id string, state docker.State) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	c, ok := e.containers[id]
	if !ok {
		return fmt.Errorf("container %s: %w", id, docker.ErrNotFound)
	}
	c.State = state
	e.containers[id] = c
	return nil
}

// Remove forgets a container, by ID or name.
func (e *Engine) Remove(ctx context.Context, id string) error {
	c, err := e.Inspect(ctx, id)
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.containers, c.ID)
	return nil
}

// Inspect finds a container by ID or name.
func (e *Engine) Inspect(_ context.Context, id string) (docker.Container, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range e.containers {
		if c.ID == id || c.Name == id {
			return c, nil
		}
	}
	return docker.Container{}, fmt.Errorf("container %s: %w", id, docker.ErrNotFound)
}

// List returns the containers that carry all the labels.
func (e *Engine) List(_ context.Context, labels map[string]string) ([]docker.Container, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var found []docker.Container
	for _, c := range e.containers {
		if carries(c.Labels, labels) {
			found = append(found, c)
		}
	}
	return found, nil
}

func carries(labels, wanted map[string]string) bool {
	for key, value := range wanted {
		if got, ok := labels[key]; !ok || value != "" && got != value {
			return false
		}
	}
	return true
}
