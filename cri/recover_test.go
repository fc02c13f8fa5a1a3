//go:build linux

package cri

import (
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/mascri/mascri/cri/docker"
	"github.com/mascri/mascri/cri/podnet"
)

// After a restart: what was half made goes, what was running stays, and the
// network is told what to keep.
func TestRecover(t *testing.T) {
	b := newBench(t)
	running, stopped, host := b.mustRun(goodPod("running")), b.mustRun(goodPod("stopped")), b.mustRun(hostNetworkPod("host"))
	if err := b.engine.Kill(t.Context(), stopped, "SIGKILL"); err != nil { // behind our back
		t.Fatal(err)
	}
	created := b.halfMade("created")
	started := b.halfMade("started")
	busy := b.halfMade("busy")
	for _, id := range []string{started, busy} {
		if err := b.engine.Start(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	b.engine.workload = []docker.Container{{ID: "c", State: docker.Running, Labels: map[string]string{labelSandbox: busy}}}
	if err := os.WriteFile(b.engine.resolvConf, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := New(Config{}, b.engine, b.network).Recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []string{running, host, busy}
	slices.Sort(want)
	slices.Sort(b.network.kept)
	if !slices.Equal(b.network.kept, want) {
		t.Errorf("the network was told to keep %v, want %v", b.network.kept, want)
	}
	for _, id := range []string{created, started} {
		if _, err := b.engine.Engine.Inspect(t.Context(), id); !errors.Is(err, docker.ErrNotFound) {
			t.Errorf("a half-made sandbox is still there: %v", err)
		}
	}
	if b.network.attached[stopped] || !b.network.attached[running] {
		t.Errorf("attached are %v, want %s and not %s", b.network.attached, running, stopped)
	}
	if text, err := os.ReadFile(b.engine.resolvConf); err != nil || len(text) == 0 {
		t.Errorf("resolv.conf was not written again: %q, %v", text, err)
	}
}

// halfMade is a sandbox as a killed daemon leaves it: created, and no more.
func (b *bench) halfMade(name string) string {
	b.t.Helper()
	p := pod{config: goodPod(name)}
	attachment, err := b.network.Network.Prepare(b.t.Context(), podnet.Pod{})
	if err != nil {
		b.t.Fatal(err)
	}
	wanted, err := p.sandboxSpec(&attachment, b.server.now())
	if err != nil {
		b.t.Fatal(err)
	}
	id, err := b.engine.Engine.CreateSandbox(b.t.Context(), wanted)
	if err != nil {
		b.t.Fatal(err)
	}
	return id
}

// One sandbox that cannot be cleared up does not keep the others from it.
func TestRecoverGoesOn(t *testing.T) {
	b := newBench(t)
	b.halfMade("one")
	b.halfMade("two")
	b.engine.fail("remove", errInjected)
	if err := b.server.Recover(t.Context()); !errors.Is(err, errInjected) {
		t.Errorf("Recover = %v, want the injected error", err)
	}
	if containers, _ := b.engine.Engine.List(t.Context(), nil); len(containers) != 1 {
		t.Errorf("%d containers are left, want the one whose removal failed", len(containers))
	}
	if err := errors.Join(b.server.Recover(t.Context()), b.left()); err != nil {
		t.Error(err)
	}
}

// What the engine makes for a call that is over goes, whenever that is; what a
// call is making, or has made, stays.
func TestSandboxThatComesLate(t *testing.T) {
	b, engine := newContainerBench(t)
	running, late := b.mustRun(goodPod("running")), b.halfMade("late")
	name := pod{config: goodPod("late")}.containerName()
	release, err := b.server.names.reserve(name)
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(b.server.removeLate(t.Context(), late, name), b.server.removeLate(t.Context(), running, "another"))
	if containers, _ := b.engine.Engine.List(t.Context(), nil); err != nil || len(containers) != 2 {
		t.Errorf("%v are left, error %v, want both", containers, err)
	}
	release()
	engine.events <- docker.Event{
		Action: docker.ActionCreate, ID: late, Time: time.Now(), Labels: map[string]string{labelKind: kindSandbox, "name": name},
	}
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		if _, err := b.engine.Engine.Inspect(t.Context(), late); errors.Is(err, docker.ErrNotFound) {
			break
		}
		if time.Now().After(end) {
			t.Fatal("it is still there 5 s after the engine has told of it")
		}
	}
}
