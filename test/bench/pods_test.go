//go:build bench

package bench

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mascri/mascri/cri/docker"
	"github.com/mascri/mascri/cri/podnet"
)

// daemon is `mascri serve` with directories of its own, and the engine that it
// and the bare calls share.
type daemon struct {
	*testing.T
	runtimeapi.RuntimeServiceClient
	engine *docker.Engine
}

func startDaemon(t *testing.T) *daemon {
	t.Helper()
	ours, _ := programs(t)
	dir, err := os.MkdirTemp("/run", "bench-") // a socket's path ends at 107 bytes (unix(7))
	if err != nil {
		t.Fatal(err)
	}
	conflist, err := podnet.DefaultConflist(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "net.d"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "net.d", "10.conflist"), conflist, 0o644); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "mascri.sock")
	cmd := exec.Command(filepath.Join(ours, "mascri"), "serve", "-listen", "unix://"+socket, "-run-dir", filepath.Join(dir, "run"),
		"-state-dir", filepath.Join(dir, "state"), "-cni-conf-dir", filepath.Join(dir, "net.d"), "-cni-bin-dir", ours, "-log-level", "warn")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended: Wait tells
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
		exec.Command("ip", "link", "del", "mascri0").Run() // it is there only if a pod was made
	})
	conn, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	engine, err := docker.Connect(context.Background(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { engine.Close() })
	d := &daemon{T: t, RuntimeServiceClient: runtimeapi.NewRuntimeServiceClient(conn), engine: engine}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := d.Version(ctx, &runtimeapi.VersionRequest{}, grpc.WaitForReady(true)); err != nil {
		t.Fatal(err)
	}
	return d
}

// runPod makes a pod through the CRI.
func (d *daemon) runPod(name string) (time.Duration, string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	start := time.Now()
	r, err := d.RunPodSandbox(ctx, &runtimeapi.RunPodSandboxRequest{Config: &runtimeapi.PodSandboxConfig{
		Metadata: &runtimeapi.PodSandboxMetadata{Name: name, Namespace: "bench", Uid: name},
		Linux:    &runtimeapi.LinuxPodSandboxConfig{},
	}})
	took := time.Since(start)
	if err != nil {
		d.Errorf("RunPodSandbox %s: %v", name, err)
		return took, ""
	}
	return took, r.PodSandboxId
}

func (d *daemon) removePod(id string) time.Duration {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	start := time.Now()
	if _, err := d.StopPodSandbox(ctx, &runtimeapi.StopPodSandboxRequest{PodSandboxId: id}); err != nil {
		d.Errorf("StopPodSandbox %s: %v", id, err)
	}
	took := time.Since(start)
	if _, err := d.RemovePodSandbox(ctx, &runtimeapi.RemovePodSandboxRequest{PodSandboxId: id}); err != nil {
		d.Errorf("RemovePodSandbox %s: %v", id, err)
	}
	return took
}

// runBare asks the engine for the same container, without a network.
func (d *daemon) runBare(name string) (time.Duration, string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	start := time.Now()
	id, err := d.engine.CreateSandbox(ctx, docker.SandboxSpec{Name: name, Hostname: "bench"})
	if err == nil {
		err = d.engine.Start(ctx, id)
	}
	if err != nil {
		d.Errorf("create and start %s: %v", name, err)
	}
	return time.Since(start), id
}

func (d *daemon) removeBare(id string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := d.engine.Remove(ctx, id); err != nil {
		d.Errorf("remove %s: %v", id, err)
	}
}

// TestPods compares RunPodSandbox with the engine's create and start of the
// same container, taking turns.
func TestPods(t *testing.T) {
	d := startDaemon(t)
	_, warm := d.runPod("warm-up") // loads the pause image, makes the bridge
	d.removePod(warm)
	var pods, bare, stops series
	n := min(*runs, 40) // each takes a third of a second
	for i := range n {
		took, id := d.runPod(fmt.Sprintf("serial-%d", i))
		pods = append(pods, took)
		bareTook, container := d.runBare(fmt.Sprintf("mascri-bench-%d", i))
		bare = append(bare, bareTook)
		stops = append(stops, d.removePod(id))
		d.removeBare(container)
	}
	tb := table{name: "pods", header: []string{"operation", "ours", "the engine's create + start", "ratio"}}
	tb.add("RunPodSandbox, serial, p50 ms", ms(pods.p50()), ms(bare.p50()), ratio(pods, bare))

	const parallel = 8
	ours := rate(parallel, n, func(i int) { _, id := d.runPod(fmt.Sprintf("p-%d", i)); defer d.removePod(id) })
	engine := rate(parallel, n, func(i int) { _, id := d.runBare(fmt.Sprintf("mascri-bench-p-%d", i)); defer d.removeBare(id) })
	tb.add(fmt.Sprintf("made and removed, %d at a time, pods/s", parallel), fmt.Sprintf("%.1f", ours), fmt.Sprintf("%.1f", engine), fmt.Sprintf("%.2f", ours/engine))
	tb.add("StopPodSandbox, p50 ms", ms(stops.p50()), "", "")
	tb.write(t)
}

// rate runs f n times, some at a time, and returns how many a second.
func rate(parallel, n int, f func(i int)) float64 {
	var wg sync.WaitGroup
	slots := make(chan struct{}, parallel)
	start := time.Now()
	for i := range n {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			f(i)
		})
	}
	wg.Wait()
	return float64(n) / time.Since(start).Seconds()
}
