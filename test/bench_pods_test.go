//go:build e2e && bench && linux

package test

import (
	"context"
	"flag"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mascri/mascri/cri/docker"
	"github.com/mascri/mascri/test/figures"
)

// benchRuns is how often each operation of a comparison is measured.
var benchRuns = flag.Int("n", 40, "operations to measure on each side; at most 40 of those with pods, which take a third of a second each")

// benchParallel is how many pods are made at once where many are.
const benchParallel = 8

// bare is the engine without us: the same pause container, made by two calls.
type bare struct {
	*docker.Engine
	t *testing.T
}

// newBare is an engine that is asked for as much at once as we are.
func newBare(t *testing.T) bare {
	t.Helper()
	engine, err := docker.Connect(t.Context(), "", docker.WithStartLimit(benchParallel))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = engine.Close() }) // idle connections
	if err := engine.Prepare(t.Context(), -998); err != nil {
		t.Fatal(err)
	}
	return bare{engine, t}
}

// run creates and starts a container like a pod's, which has no network then.
func (b bare) run(name string) (id string) {
	id, err := b.CreateSandbox(b.t.Context(), docker.SandboxSpec{Name: name, Hostname: "bench", OOMScoreAdj: -998})
	if err == nil {
		err = b.Start(b.t.Context(), id)
	}
	if err != nil {
		b.t.Errorf("create and start %s: %v", name, err)
	}
	return id
}

func (b bare) remove(id string) {
	if err := b.Remove(b.t.Context(), id); err != nil {
		b.t.Errorf("remove %s: %v", id, err)
	}
}

// kill ends a container and removes the link to it, which are the two things
// that StopPodSandbox cannot do without.
func (b bare) kill(id string) time.Duration {
	b.t.Helper()
	container, err := b.Inspect(b.t.Context(), id)
	if err != nil {
		b.t.Fatal(err)
	}
	bridge, err := netlink.LinkByName("mascri0")
	if err != nil {
		b.t.Fatal(err)
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MasterIndex = "bare", bridge.Attrs().Index
	link := &netlink.Veth{LinkAttrs: attrs, PeerName: "eth0", PeerNamespace: netlink.NsPid(container.PID)}
	if err := netlink.LinkAdd(link); err != nil {
		b.t.Fatal(err)
	}
	return took(func() {
		err := netlink.LinkDel(link)
		if err == nil {
			err = b.Kill(b.t.Context(), id, "SIGKILL")
		}
		if err != nil {
			b.t.Errorf("end %s: %v", id, err)
		}
	})
}

func took(f func()) time.Duration {
	begin := time.Now()
	f()
	return time.Since(begin)
}

// TestBenchPods compares RunPodSandbox and StopPodSandbox with what the engine
// and the kernel take for their part, taking turns.
func TestBenchPods(t *testing.T) {
	n, b := newNode(t), newBare(t)
	n.remove(n.run(podConfig("warm-up"))) // loads the pause image, makes the bridge
	var runs, starts, stops, kills figures.Series
	for i := range min(*benchRuns, 40) {
		var pod, container string
		runs = append(runs, took(func() { pod = n.run(podConfig(fmt.Sprintf("serial-%d", i))) }))
		starts = append(starts, took(func() { container = b.run(fmt.Sprintf("bare-%d", i)) }))
		stops = append(stops, took(func() { n.stop(pod) }))
		kills = append(kills, b.kill(container))
		n.remove(pod)
		b.remove(container)
	}
	tb := figures.Table{Name: "pods", Header: []string{"operation", "ours", "the engine's and the kernel's part", "ours beside it", "target"}}
	tb.Add("RunPodSandbox, serial, p50 ms", figures.MS(runs.P50()), figures.MS(starts.P50()), figures.Ratio(runs, starts)+" ×", "≤ 1.10 ×")
	ours, engine := n.compareRates(b)
	tb.Add(fmt.Sprintf("RunPodSandbox, %d at a time, pods/s", benchParallel), fmt.Sprintf("%.2f", ours), fmt.Sprintf("%.2f", engine),
		fmt.Sprintf("%.2f ×", ours/engine), "≥ 0.95 ×")
	tb.Add("StopPodSandbox, p50 ms", figures.MS(stops.P50()), figures.MS(kills.P50()), fmt.Sprintf("%+.2f ms", (stops.P50()-kills.P50()).Seconds()*1e3), "≤ + 15 ms")
	tb.Write(t, *page)
}

// compareRates returns how many pods a second are made by us and how many
// containers by the engine alone, many at a time. The sides take turns, and are
// made to clear up between them.
func (n *node) compareRates(b bare) (ours, engine float64) {
	n.t.Helper()
	const rounds, batch = 4, 2 * benchParallel
	var mine, its time.Duration
	for round := range rounds {
		var pods, containers [batch]string
		mine += took(func() {
			atOnce(batch, func(i int) { pods[i] = n.runSafely(fmt.Sprintf("round-%d-%d", round, i)) })
		})
		atOnce(batch, func(i int) { n.removeSafely(pods[i]) })
		its += took(func() {
			atOnce(batch, func(i int) { containers[i] = b.run(fmt.Sprintf("bare-round-%d-%d", round, i)) })
		})
		atOnce(batch, func(i int) { b.remove(containers[i]) })
	}
	return rounds * batch / mine.Seconds(), rounds * batch / its.Seconds()
}

// atOnce calls f for all numbers below count, benchParallel at a time.
func atOnce(count int, f func(i int)) {
	var all sync.WaitGroup
	turns := make(chan int)
	for range benchParallel {
		all.Go(func() {
			for i := range turns {
				f(i)
			}
		})
	}
	for i := range count {
		turns <- i
	}
	close(turns)
	all.Wait()
}

// runSafely is run for another goroutine than the test's.
func (n *node) runSafely(name string, changes ...func(*runtimeapi.PodSandboxConfig)) string {
	answer, err := n.RunPodSandbox(n.t.Context(), &runtimeapi.RunPodSandboxRequest{Config: podConfig(name, changes...)})
	if err != nil {
		n.t.Errorf("RunPodSandbox %s: %v", name, err)
	}
	return answer.GetPodSandboxId()
}

func (n *node) removeSafely(id string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := n.RemovePodSandbox(ctx, &runtimeapi.RemovePodSandboxRequest{PodSandboxId: id}); err != nil {
		n.t.Errorf("RemovePodSandbox %s: %v", id, err)
	}
}
