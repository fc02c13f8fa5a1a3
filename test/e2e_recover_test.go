//go:build e2e && linux

package test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

const (
	killRounds  = 10
	killWorkers = 4
	// killWithin is longer than the creation and removal of a pod take on a
	// busy machine, so that the signal falls into any of their steps.
	killWithin = 900 * time.Millisecond
)

// Whatever the daemon was doing when it was killed, after a restart nothing is
// there that no listed pod owns, and every pod that is listed can be removed.
func TestDaemonIsKilledAtAnyMoment(t *testing.T) {
	n := newNode(t)
	n.remove(n.run(podConfig("warm-up")))
	for round := range killRounds {
		after := rand.N(killWithin)
		var workers sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		for worker := range killWorkers {
			workers.Go(func() { n.churn(ctx, fmt.Sprintf("round-%d-worker-%d", round, worker)) })
		}
		time.Sleep(after)
		n.stopDaemon(syscall.SIGKILL)
		cancel()
		workers.Wait()
		n.start()
		n.awaitAnswer()
		n.assertListed()
		n.removeAll()
		eventually(t, func() error { return n.nothingLeft() })
		t.Logf("round %d: killed after %s", round, after)
	}
}

// churn creates and removes pods until the daemon is gone.
func (n *node) churn(ctx context.Context, name string) {
	for attempt := range uint32(100) {
		config := podConfig(name, hostPort(runtimeapi.Protocol_UDP, 0, 53))
		config.Metadata.Attempt = attempt
		pod, err := n.RunPodSandbox(ctx, &runtimeapi.RunPodSandboxRequest{Config: config})
		if err != nil {
			return
		}
		if _, err := n.RemovePodSandbox(ctx, &runtimeapi.RemovePodSandboxRequest{PodSandboxId: pod.GetPodSandboxId()}); err != nil {
			return
		}
	}
}

// assertListed fails the test where a restarted daemon shows a pod as ready that
// has no address, or two pods with one.
func (n *node) assertListed() {
	n.t.Helper()
	owner := map[netip.Addr]string{}
	for _, pod := range n.list(nil) {
		if pod.GetState() != runtimeapi.PodSandboxState_SANDBOX_READY {
			continue
		}
		for _, address := range n.addresses(pod.GetId()) {
			if other, taken := owner[address]; taken {
				n.t.Errorf("%s belongs to %s and to %s", address, other, pod.GetMetadata().GetName())
			}
			owner[address] = pod.GetMetadata().GetName()
		}
	}
}

// nothingLeft is assertNothingLeft for those who can wait.
func (n *node) nothingLeft() error {
	n.t.Helper()
	for kind, left := range n.remains() {
		if len(left) > 0 {
			return fmt.Errorf("%s left behind: %s", kind, strings.Join(left, ", "))
		}
	}
	return nil
}

func TestPodsInParallelHaveDifferentAddresses(t *testing.T) {
	const pods, parallel = 50, 8
	n := newNode(t)
	ids := make([]string, pods)
	var group errgroup.Group
	group.SetLimit(parallel)
	begin := time.Now()
	for i := range pods {
		group.Go(func() error {
			answer, err := n.RunPodSandbox(t.Context(), &runtimeapi.RunPodSandboxRequest{Config: podConfig(fmt.Sprintf("pod-%d", i))})
			ids[i] = answer.GetPodSandboxId()
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d pods, %d at a time: %.1f pods a second", pods, parallel, pods/time.Since(begin).Seconds())
	owner := map[netip.Addr]string{}
	for _, id := range ids {
		for _, address := range n.addresses(id) {
			if other, taken := owner[address]; taken {
				t.Errorf("%s belongs to %s and to %s", address, other, id)
			}
			owner[address] = id
		}
	}
	if len(owner) != pods {
		t.Errorf("%d different addresses, want %d", len(owner), pods)
	}
	for _, id := range ids {
		group.Go(func() error {
			_, err := n.RemovePodSandbox(t.Context(), &runtimeapi.RemovePodSandboxRequest{PodSandboxId: id})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
}

// The same pod and attempt several times at once is one sandbox and clear
// errors.
func TestSamePodAtOnce(t *testing.T) {
	n := newNode(t)
	const calls = 6
	var group sync.WaitGroup
	created := make(chan string, calls)
	for range calls {
		group.Go(func() {
			answer, err := n.RunPodSandbox(t.Context(), &runtimeapi.RunPodSandboxRequest{Config: podConfig("same")})
			if err == nil {
				created <- answer.GetPodSandboxId()
			} else if !strings.Contains(err.Error(), "AlreadyExists") {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if len(created) != 1 {
		t.Errorf("%d calls succeeded, want 1", len(created))
	}
	if pods := n.list(nil); len(pods) != 1 {
		t.Errorf("%d sandboxes, want 1", len(pods))
	}
	if left := n.containers(); len(left) != 1 {
		t.Errorf("containers %v, want one", left)
	}
}

// A plugin that never ends is ended with the call, and so is what it started.
func TestPluginThatHangs(t *testing.T) {
	n := newNode(t)
	const script = "#!/bin/sh\n[ $CNI_COMMAND = ADD ] && sleep 4711\nexit 0\n"
	plugin := filepath.Join(os.Getenv(binEnv), "hanging")
	if err := os.WriteFile(plugin, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(plugin) }) // the directory goes anyway
	n.configure("00-hanging.conflist", `{"cniVersion": "1.1.0", "name": "hanging", "plugins": [{"type": "hanging"}]}`)

	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	begin := time.Now()
	_, err := n.RunPodSandbox(ctx, &runtimeapi.RunPodSandboxRequest{Config: podConfig("waiting")})
	if err == nil {
		t.Fatal("RunPodSandbox succeeded although its plugin never answered")
	}
	if took := time.Since(begin); took > time.Minute {
		t.Errorf("the call took %s, its deadline was 1 s", took)
	}
	eventually(t, n.nothingLeft)
	eventually(t, func() error {
		if processes := commandLines("sleep\x004711"); len(processes) > 0 {
			return fmt.Errorf("the plugin's child is still there: process %v", processes)
		}
		return nil
	})
}

// commandLines finds the processes whose command line holds the words, which
// /proc separates by NUL.
func commandLines(words string) (processes []string) {
	found, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return nil
	}
	for _, file := range found {
		// A process that ended since has no command line.
		if text, err := os.ReadFile(file); err == nil && strings.Contains(string(text), words) {
			processes = append(processes, filepath.Base(filepath.Dir(file)))
		}
	}
	return processes
}
