//go:build linux

package cri

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mascri/mascri/cri/docker"
	"github.com/mascri/mascri/cri/dryrun"
	"github.com/mascri/mascri/cri/podnet"
)

// fakeWorkload is the fake engine with workload containers.
type fakeWorkload struct {
	*fakeEngine
	mu         sync.Mutex
	containers map[string]docker.Container
	wanted     docker.ContainerSpec // as of the last create
	info       docker.Info
	image      docker.Image
	usage      docker.ImageUsage
	events     chan docker.Event
}

func (e *fakeWorkload) CreateContainer(_ context.Context, spec docker.ContainerSpec) (id string, err error) {
	err = e.around("create container", func() error {
		sum := sha256.Sum256([]byte(spec.Name))
		id = hex.EncodeToString(sum[:])
		if _, taken := e.get(id); taken {
			return docker.ErrConflict
		}
		e.mu.Lock()
		e.wanted = spec
		e.mu.Unlock()
		e.put(docker.Container{
			ID: id, Name: spec.Name, Labels: spec.Labels, State: docker.Created, Image: spec.Image,
			ImageID: e.image.ID, Resources: spec.Resources, Mounts: spec.Mounts, StopSignal: spec.StopSignal,
		})
		return nil
	})
	return id, err
}

func (e *fakeWorkload) get(id string) (docker.Container, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range e.containers {
		if c.ID == id || c.Name == id {
			return c, true
		}
	}
	return docker.Container{}, false
}

func (e *fakeWorkload) put(c docker.Container) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.containers[c.ID] = c
}

// set changes a container, or says that it is none.
func (e *fakeWorkload) set(id string, change func(*docker.Container)) error {
	c, ok := e.get(id)
	if !ok {
		return docker.ErrNotFound
	}
	change(&c)
	e.put(c)
	return nil
}

func (e *fakeWorkload) Start(ctx context.Context, id string) error {
	if _, ok := e.get(id); !ok {
		return e.fakeEngine.Start(ctx, id)
	}
	return e.around("start container", func() error {
		return e.set(id, func(c *docker.Container) { c.State, c.Started = docker.Running, time.Now() })
	})
}

func (e *fakeWorkload) end(id string) error {
	return e.set(id, func(c *docker.Container) { c.State, c.Finished, c.ExitCode = docker.Exited, time.Now(), 137 })
}

func (e *fakeWorkload) Kill(ctx context.Context, id, signal string) error {
	if _, ok := e.get(id); !ok {
		return e.fakeEngine.Kill(ctx, id, signal)
	}
	return e.around("kill container", func() error { return e.end(id) })
}

func (e *fakeWorkload) Stop(_ context.Context, id string, _ time.Duration) error {
	return e.around("stop container", func() error { return e.end(id) })
}

func (e *fakeWorkload) Remove(ctx context.Context, id string) error {
	c, ok := e.get(id)
	if !ok {
		return e.fakeEngine.Remove(ctx, id)
	}
	return e.around("remove container", func() error {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.containers, c.ID)
		return nil
	})
}

func (e *fakeWorkload) Inspect(ctx context.Context, id string) (docker.Container, error) {
	if c, ok := e.get(id); ok {
		return c, e.around("inspect container", func() error { return nil })
	}
	return e.fakeEngine.Inspect(ctx, id)
}

func (e *fakeWorkload) List(ctx context.Context, labels map[string]string) ([]docker.Container, error) {
	found, err := e.fakeEngine.List(ctx, labels)
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range e.containers {
		if (labels[labelKind] == "" || labels[labelKind] == kindContainer) && (labels[labelSandbox] == "" || labels[labelSandbox] == c.Labels[labelSandbox]) {
			found = append(found, c)
		}
	}
	return found, err
}

func (e *fakeWorkload) Update(_ context.Context, id string, r docker.Resources) error {
	return e.set(id, func(c *docker.Container) { c.Resources = r })
}

func (e *fakeWorkload) Features() docker.Features { return docker.Features{} }
func (e *fakeWorkload) Info(context.Context) (docker.Info, error) {
	return e.info, e.around("info", func() error { return nil })
}

// LookupUser knows every user, as a member of two groups.
func (e *fakeWorkload) LookupUser(context.Context, string, string) (docker.Account, error) {
	return docker.Account{GID: 30, Groups: []int{31, 32}}, e.take("look up user")
}

func (e *fakeWorkload) Exec(context.Context, string, docker.Command) (*docker.Process, error) {
	return nil, errInjected
}

func (e *fakeWorkload) Attach(context.Context, string, docker.Streams) (*docker.Session, error) {
	return nil, errInjected
}

func (e *fakeWorkload) Events(ctx context.Context, _ time.Time) (<-chan docker.Event, <-chan error) {
	out, ended := make(chan docker.Event), make(chan error, 1)
	go func() {
		defer close(out)
		for {
			select {
			case event := <-e.events:
				out <- event
			case <-ctx.Done():
				ended <- ctx.Err()
				return
			}
		}
	}()
	return out, ended
}

// Images lists without the user, as an engine does.
func (e *fakeWorkload) Images(context.Context) ([]docker.Image, error) {
	listed := e.image
	listed.User = ""
	return []docker.Image{listed}, e.around("list images", func() error { return nil })
}

func (e *fakeWorkload) InspectImage(_ context.Context, ref string) (docker.Image, error) {
	if ref != "busybox" && ref != e.image.ID {
		return docker.Image{}, fmt.Errorf("image %s: %w", ref, docker.ErrNotFound)
	}
	return e.image, e.around("inspect image", func() error { return nil })
}

func (e *fakeWorkload) Pull(context.Context, string, docker.Auth) (string, error) {
	return e.image.ID, e.take("pull")
}
func (e *fakeWorkload) RemoveImage(context.Context, string) error { return nil }
func (e *fakeWorkload) ImageUsage() (docker.ImageUsage, error)    { return e.usage, nil }

// newContainerBench is a bench whose server also runs containers.
func newContainerBench(t *testing.T) (*bench, *fakeWorkload) {
	t.Helper()
	dir := t.TempDir()
	resolvConf := filepath.Join(dir, "resolv.conf")
	if err := os.WriteFile(resolvConf, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	b := &bench{
		t:      t,
		engine: &fakeEngine{Engine: dryrun.NewEngine(), resolvConf: resolvConf},
		network: &fakeNetwork{
			Network:  dryrun.NewNetwork(filepath.Join(dir, "net.d"), podnet.BuiltinTemplate, dir, answerAddress),
			attached: map[string]bool{},
		},
	}
	engine := &fakeWorkload{
		fakeEngine: b.engine, containers: map[string]docker.Container{}, events: make(chan docker.Event),
		image: docker.Image{ID: "sha256:1234", Digests: []string{"docker.io/library/busybox@sha256:55"}},
	}
	b.server = New(Config{Version: "1.2.3"}, engine, b.network)
	end, err := b.server.EnableContainers(engine, ContainersConfig{StateDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := end(); err != nil {
			t.Error(err)
		}
	})
	if err := b.server.Recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.serve(filepath.Join(dir, "s"))
	return b, engine
}

func goodContainer(name string) *runtimeapi.ContainerConfig {
	return &runtimeapi.ContainerConfig{
		Metadata: &runtimeapi.ContainerMetadata{Name: name},
		Image:    &runtimeapi.ImageSpec{Image: "busybox"},
		Labels:   map[string]string{"app": name},
	}
}

func (b *bench) create(pod string, config *runtimeapi.ContainerConfig) (string, error) {
	answer, err := b.CreateContainer(b.t.Context(), &runtimeapi.CreateContainerRequest{PodSandboxId: pod, Config: config})
	return answer.GetContainerId(), err
}
