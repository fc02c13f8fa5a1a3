//go:build linux

package cri

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mascri/mascri/cri/docker"
	"github.com/mascri/mascri/cri/docker/pause"
	"github.com/mascri/mascri/cri/dryrun"
)

// newImageMemoryBench is an image memory to which events come, over an engine
// with one image.
func newImageMemoryBench(t *testing.T) (*imageMemory, *fakeWorkload) {
	t.Helper()
	engine := &fakeWorkload{
		fakeEngine: &fakeEngine{Engine: dryrun.NewEngine()}, containers: map[string]docker.Container{}, events: make(chan docker.Event),
		image: docker.Image{ID: "sha256:1234", Tags: []string{"a"}, User: "web"},
	}
	m := newImageMemory(engine)
	m.trust()
	return m, engine
}

// tagsOf are the image's tags, as listed and as inspected.
func (m *imageMemory) tagsOf(t *testing.T) []string {
	t.Helper()
	list, err := m.Images(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	image, err := m.InspectImage(t.Context(), "busybox")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(list[0].Tags, image.Tags) || list[0].User != image.User {
		t.Errorf("listed as %v of %s, inspected as %v of %s", list[0].Tags, list[0].User, image.Tags, image.User)
	}
	return image.Tags
}

// What is remembered costs the engine nothing, and is right after whatever may
// have changed it.
func TestImageMemoryFollowsEachChange(t *testing.T) {
	for what, change := range map[string]func(*imageMemory, *fakeWorkload) error{
		"an event":              func(m *imageMemory, _ *fakeWorkload) error { m.drop(); return nil },
		"a resynchronisation":   func(m *imageMemory, _ *fakeWorkload) error { m.trust(); return nil },
		"the end of the events": func(m *imageMemory, _ *fakeWorkload) error { m.distrust(); return nil },
		"RemoveImage":           func(m *imageMemory, _ *fakeWorkload) error { return m.RemoveImage(t.Context(), "b") },
		"Pull": func(m *imageMemory, _ *fakeWorkload) error {
			_, err := m.Pull(t.Context(), "b", docker.Auth{})
			return err
		},
		"a Pull whose answer is an error": func(m *imageMemory, engine *fakeWorkload) error {
			engine.fail("pull", errInjected)
			if _, err := m.Pull(t.Context(), "b", docker.Auth{}); !errors.Is(err, errInjected) {
				return fmt.Errorf("it answered %w", err)
			}
			return nil
		},
	} {
		m, engine := newImageMemoryBench(t)
		m.tagsOf(t)
		asked := len(engine.calls)
		if m.tagsOf(t); len(engine.calls) != asked {
			t.Errorf("the engine was asked again: %v", engine.calls[asked:])
		}
		engine.image.Tags = []string{"b"}
		if err := change(m, engine); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if tags := m.tagsOf(t); !slices.Equal(tags, []string{"b"}) {
			t.Errorf("after %s: %v", what, tags)
		}
	}
}

// While no events come the engine is asked each time, except for what cannot
// change: an image's user is asked for once.
func TestImageMemoryKeepsNothingWithoutEvents(t *testing.T) {
	m, engine := newImageMemoryBench(t)
	m.distrust()
	m.tagsOf(t)
	asked := len(engine.calls)
	m.tagsOf(t)
	if again := engine.calls[asked:]; !slices.Equal(again, []string{"list images", "inspect image"}) {
		t.Errorf("asked of the engine: %v", again)
	}
}

// lateImages is an engine in which something happens before its answer arrives.
type lateImages struct {
	Workload
	meanwhile func()
}

func (e *lateImages) Images(ctx context.Context) ([]docker.Image, error) {
	defer e.meanwhile()
	return e.Workload.Images(ctx)
}

func (e *lateImages) InspectImage(ctx context.Context, ref string) (docker.Image, error) {
	defer e.meanwhile()
	return e.Workload.InspectImage(ctx, ref)
}

// An answer that something changed after is given to who asked, and to nobody
// else.
func TestImageMemoryKeepsNoLateAnswer(t *testing.T) {
	for what, happen := range map[string]func(*imageMemory){
		"an event":              func(m *imageMemory) { m.drop() },
		"a break of the events": func(m *imageMemory) { m.distrust(); m.trust() },
	} {
		m, engine := newImageMemoryBench(t)
		m.Workload = &lateImages{engine, func() { engine.image.Tags = []string{"b"}; happen(m) }}
		if _, err := m.InspectImage(t.Context(), "busybox"); err != nil {
			t.Fatal(err)
		}
		engine.image.Tags = []string{"a"}
		if _, err := m.Images(t.Context()); err != nil {
			t.Fatal(err)
		}
		m.Workload = engine
		if tags := m.tagsOf(t); !slices.Equal(tags, []string{"b"}) {
			t.Errorf("%s came before the answer, and the image is remembered as %v", what, tags)
		}
	}
}

// That an image is not here is asked each time, and of those that are here there
// is a bound to the names.
func TestImageMemoryIsBounded(t *testing.T) {
	m, engine := newImageMemoryBench(t)
	m.Workload = anyImage{engine}
	for i := range 3 * maxImageNames {
		if _, err := m.InspectImage(t.Context(), fmt.Sprintf("name-%d", i)); err != nil {
			t.Fatal(err)
		}
		if len(m.named) > maxImageNames {
			t.Fatalf("%d names are remembered", len(m.named))
		}
	}
	m.Workload = engine
	if _, err := m.InspectImage(t.Context(), "absent"); !errors.Is(err, docker.ErrNotFound) {
		t.Fatal(err)
	}
	m.Workload = anyImage{engine}
	if _, err := m.InspectImage(t.Context(), "absent"); err != nil {
		t.Errorf("an image that came is not seen: %v", err)
	}
}

// anyImage is an engine that has every image.
type anyImage struct{ Workload }

func (anyImage) InspectImage(context.Context, string) (docker.Image, error) {
	return docker.Image{}, nil
}

// Who runs the first pod sees the image that was loaded for it, and the list is
// kept when the next one runs.
func TestImageMemoryFollowsThePauseImage(t *testing.T) {
	m, engine := newImageMemoryBench(t)
	run := func(name string) []string {
		m.tagsOf(t)
		if _, err := m.CreateSandbox(t.Context(), docker.SandboxSpec{Name: name}); err != nil {
			t.Fatal(err)
		}
		asked := len(engine.calls)
		m.tagsOf(t)
		return engine.calls[asked:]
	}
	if asked := run("first"); !slices.Equal(asked, []string{"list images"}) {
		t.Errorf("after the first pod: %v asked of the engine", asked)
	}
	engine.image.Tags = []string{"docker.io/" + pause.Tag}
	m.drop()
	if asked := run("second"); len(asked) > 0 {
		t.Errorf("after a pod whose image was there: %v asked of the engine", asked)
	}
}

// What is remembered of the engine is asked for anew every few minutes, except
// while no events come: then it is not trusted at all.
func TestResynchronisationNeedsEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		images, engine := newImageMemoryBench(t)
		s := New(Config{}, engine, &fakeNetwork{attached: map[string]bool{}})
		c := &containers{Server: s, images: images, engine: newMemory(images, true)}
		s.containers = c
		ctx, cancel := context.WithCancel(t.Context())
		defer c.running.Wait()
		defer cancel()
		c.running.Go(func() { c.watch(ctx) })

		engine.events <- docker.Event{Action: docker.ActionResync}
		synctest.Wait()
		images.tagsOf(t)
		engine.image.Tags = []string{"b"}
		engine.events <- docker.Event{Action: docker.ActionImage}
		synctest.Wait()
		if tags := images.tagsOf(t); !slices.Equal(tags, []string{"b"}) {
			t.Errorf("after an event: %v", tags)
		}
		engine.image.Tags = []string{"c"} // unseen
		time.Sleep(resyncInterval)
		synctest.Wait()
		if tags := images.tagsOf(t); !slices.Equal(tags, []string{"c"}) || !c.engine.live {
			t.Errorf("after %s: %v, containers remembered: %t", resyncInterval, tags, c.engine.live)
		}
		engine.events <- docker.Event{Action: docker.ActionLost}
		time.Sleep(2 * resyncInterval)
		synctest.Wait()
		if c.engine.live || images.live {
			t.Error("answers are remembered while no events come")
		}
	})
}
