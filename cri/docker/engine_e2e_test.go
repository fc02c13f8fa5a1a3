//go:build e2e && linux

package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// e2eLabel marks all that these tests create in the engine.
const e2eLabel = "io.mascri.test.docker"

// connect opens the engine of the environment and removes at the end what the
// test left in it.
func connect(t *testing.T, options ...Option) *Engine {
	t.Helper()
	options = append([]Option{WithLogger(slog.New(slog.NewTextHandler(testWriter{t}, nil)))}, options...)
	e, err := Connect(t.Context(), "", options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		left, err := e.List(ctx, map[string]string{e2eLabel: t.Name()})
		for _, c := range left {
			err = errors.Join(err, e.Remove(ctx, c.ID))
		}
		err = errors.Join(err, e.RemoveImage(ctx, "mascri-test/busybox:"+testName(t)))
		if err := errors.Join(err, e.Close()); err != nil {
			t.Errorf("clean up: %v", err)
		}
	})
	return e
}

// testWriter logs through the test.
type testWriter struct{ t *testing.T }

var _ io.Writer = testWriter{}

func (w testWriter) Write(line []byte) (int, error) {
	w.t.Log(strings.TrimSuffix(string(line), "\n"))
	return len(line), nil
}

// testName is the test's name in letters that image tags can have.
func testName(t *testing.T) string {
	return strings.ToLower(strings.ReplaceAll(t.Name(), "/", "-"))
}

// uniqueName is a container name of its own.
func uniqueName(t *testing.T) string {
	return fmt.Sprintf("mascri-test-%s-%d", testName(t), time.Now().UnixNano())
}

// sandbox is a spec with a name of its own.
func sandbox(t *testing.T) SandboxSpec {
	return SandboxSpec{
		Name:     uniqueName(t),
		Labels:   map[string]string{e2eLabel: t.Name()},
		Hostname: "test-pod",
	}
}

func mustCreate(t *testing.T, e *Engine, spec SandboxSpec) string {
	t.Helper()
	id, err := e.CreateSandbox(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func mustRun(t *testing.T, e *Engine, spec SandboxSpec) Container {
	t.Helper()
	id := mustCreate(t, e, spec)
	if err := e.Start(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	c, err := e.Inspect(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func wantError(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: error %v, want %v", what, got, want)
	}
}

func TestE2EConnect(t *testing.T) {
	e := connect(t)
	info, err := e.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("version %+v, info %+v, features %+v", e.version, info, e.Features())
	if e.version.Arch == "" || info.CgroupDriver == "" || info.DataRoot == "" || len(info.Runtimes) == 0 || info.CPUs == 0 {
		t.Errorf("incomplete facts: %+v %+v", e.version, info)
	}
}

// The pause image is loaded once by concurrent callers, and again after
// somebody removed it.
func TestE2EPauseImageIsLoadedOnDemand(t *testing.T) {
	var mu sync.Mutex
	loads := 0
	e := connect(t, WithObserver(func(operation string, _ time.Duration, _ error) {
		mu.Lock()
		defer mu.Unlock()
		if operation == "load image" {
			loads++
		}
	}))
	if _, err := e.EnsurePause(t.Context()); err != nil {
		t.Fatal(err)
	}
	loads = 0
	for range 2 {
		if err := removeTag(t, e); err != nil {
			t.Fatal(err)
		}
		var callers sync.WaitGroup
		for range 8 {
			callers.Go(func() {
				if _, err := e.CreateSandbox(t.Context(), sandbox(t)); err != nil {
					t.Error(err)
				}
			})
		}
		callers.Wait()
	}
	if loads == 0 || loads > 4 { // late callers may start a second flight
		t.Errorf("the image was loaded %d times, want twice", loads)
	}
}

func TestE2ESandboxLife(t *testing.T) {
	e := connect(t)
	spec := sandbox(t)
	spec.Sysctls = map[string]string{"net.ipv4.ip_unprivileged_port_start": "7"}
	id := mustCreate(t, e, spec)
	_, err := e.CreateSandbox(t.Context(), spec)
	wantError(t, "second create", err, ErrConflict)
	_, err = e.InspectNetNS(t.Context(), id)
	wantError(t, "network namespace before start", err, ErrNotRunning)

	if err := e.Start(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	c, err := e.Inspect(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if c.State != Running || c.PID == 0 || c.ID != id || c.Name != spec.Name || c.ResolvConfPath == "" ||
		c.Started.IsZero() || c.Created.IsZero() || !c.Finished.IsZero() || c.Hostname != "test-pod" {
		t.Errorf("inspect: %+v", c)
	}
	netns, err := c.NetNS()
	if err != nil || netns != c.SandboxKey {
		t.Errorf("network namespace %q, error %v, want %q", netns, err, c.SandboxKey)
	}
	found, err := e.List(t.Context(), spec.Labels)
	if err != nil || len(found) != 1 || found[0].ID != id || found[0].State != Running || found[0].Name != spec.Name {
		t.Errorf("list: %+v, error %v", found, err)
	}
	if err := e.Stop(t.Context(), id, 30*time.Second); err != nil {
		t.Error(err)
	}
	// Had the pause program ignored SIGTERM, it would have been killed: 137.
	if c, err = e.Inspect(t.Context(), id); err != nil || c.State != Exited || c.ExitCode != 0 || c.Finished.IsZero() {
		t.Errorf("after stop: %+v, error %v", c, err)
	}
	wantError(t, "kill after stop", e.Kill(t.Context(), id, "KILL"), ErrNotRunning)
	if err := e.Stop(t.Context(), id, 0); err != nil {
		t.Errorf("second stop: %v", err)
	}
	if err := e.Remove(t.Context(), id); err != nil {
		t.Error(err)
	}
	wantError(t, "second remove", e.Remove(t.Context(), id), ErrNotFound)
	_, err = e.Inspect(t.Context(), id)
	wantError(t, "inspect after remove", err, ErrNotFound)
}

// Whatever this engine may do, a sandbox with the kubelet's score starts.
func TestE2ENegativeOOMScore(t *testing.T) {
	e := connect(t)
	spec := sandbox(t)
	spec.OOMScoreAdj = -998
	c := mustRun(t, e, spec)
	if c.Resources.OOMScoreAdj != -998 && e.oom.verdict != oomRefused {
		t.Errorf("score %d without a refusal", c.Resources.OOMScoreAdj)
	}
}

func TestE2EHostNamespaces(t *testing.T) {
	e := connect(t)
	spec := sandbox(t)
	spec.Network, spec.PID, spec.IPC = Host, Host, Host
	c := mustRun(t, e, spec)
	if c.Namespaces != (Namespaces{Host, Host, Host}) {
		t.Errorf("namespaces %+v", c.Namespaces)
	}
}

// The engine's own network goes into the namespace that the sandbox has had
// from its start.
func TestE2EConnectNetwork(t *testing.T) {
	e := connect(t)
	c := mustRun(t, e, sandbox(t))
	before, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", c.PID))
	if err != nil {
		t.Fatal(err)
	}
	if err := e.ConnectNetwork(t.Context(), "bridge", c.ID); err != nil {
		t.Fatal(err)
	}
	if c, err = e.Inspect(t.Context(), c.ID); err != nil || len(c.Endpoints) != 1 ||
		len(c.Endpoints[0].Addresses) == 0 || !c.Endpoints[0].Gateway.IsValid() {
		t.Errorf("endpoints %+v, error %v", c.Endpoints, err)
	}
	if after, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", c.PID)); err != nil || after != before {
		t.Errorf("network namespace was %s and is %s, error %v", before, after, err)
	}
	path, err := c.NetNS()
	if err != nil {
		t.Fatal(err)
	}
	var named, own unix.Stat_t
	if err := errors.Join(unix.Stat(path, &named), unix.Stat(fmt.Sprintf("/proc/%d/ns/net", c.PID), &own)); err != nil || named.Ino != own.Ino {
		t.Errorf("%s is namespace %d, the sandbox is in %d, error %v", path, named.Ino, own.Ino, err)
	}
	if err := e.DisconnectNetwork(t.Context(), "bridge", c.ID); err != nil {
		t.Error(err)
	}
	wantError(t, "no such network", e.ConnectNetwork(t.Context(), "mascri-absent", c.ID), ErrNotFound)
}

func TestE2EUnreachableEngine(t *testing.T) {
	_, err := Connect(t.Context(), "unix:///nonexistent/docker.sock")
	wantError(t, "connect", err, ErrUnavailable)
	t.Log(err)
}
