//go:build e2e && linux

package test

import (
	"context"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mascri/mascri/cri/docker"
)

// networkReady is the condition NetworkReady, with the reason where it is false.
func (n *node) networkReady() *runtimeapi.RuntimeCondition {
	n.t.Helper()
	return n.condition(runtimeapi.NetworkReady)
}

func (n *node) condition(name string) *runtimeapi.RuntimeCondition {
	n.t.Helper()
	answer, err := n.Status(n.t.Context(), &runtimeapi.StatusRequest{})
	if err != nil {
		n.t.Fatal(err)
	}
	for _, condition := range answer.GetStatus().GetConditions() {
		if condition.GetType() == name {
			return condition
		}
	}
	n.t.Fatalf("no condition %s in %v", name, answer)
	return nil
}

// engine is the machine's Docker engine, past the daemon.
func engine(t *testing.T) *docker.Engine {
	t.Helper()
	e, err := docker.Connect(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() }) // idle connections
	return e
}

// What happens to the configuration directory between ADD and DEL is nothing to
// the pods that are there: DEL runs with what ADD ran with.
func TestConfigurationChangesUnderAPod(t *testing.T) {
	const name = "10-mascri.conflist"
	changes := map[string]func(n *node){
		"it names another network": func(n *node) {
			n.configure(name, strings.Replace(conflist(n.t, "10.99.0.0/24"), `"name": "mascri"`, `"name": "other"`, 1))
		},
		"it is broken":                 func(n *node) { n.configure(name, "{") },
		"it is gone":                   func(n *node) { n.unconfigure(name) },
		"it is gone, the daemon anew":  func(n *node) { n.unconfigure(name); n.restart(syscall.SIGKILL) },
		"it names a plugin that isn't": func(n *node) { n.configure(name, strings.ReplaceAll(conflist(n.t), `"netplug"`, `"gone"`)) },
	}
	for title, change := range changes {
		t.Run(title, func(t *testing.T) {
			n := newNode(t)
			stopped := n.run(podConfig("stopped", hostPort(runtimeapi.Protocol_TCP, 8080, 80)))
			removed := n.run(podConfig("removed"))
			change(n)
			n.stop(stopped)
			n.remove(stopped)
			n.remove(removed)
			n.assertNothingLeft()
		})
	}
}

func TestConfigurationIsSeenAtOnce(t *testing.T) {
	n := newNode(t)
	n.configure("00-broken.conflist", "{")
	first := n.run(podConfig("behind-a-broken-file"))
	if got := n.addresses(first)[0].String(); !strings.HasPrefix(got, "10.22.") {
		t.Errorf("address %s: the broken file hid the good one", got)
	}
	n.configure("05-new.conflist", strings.Replace(conflist(t, "10.23.0.0/24"), `"mascri0"`, `"mascri1"`, 1))
	second := n.run(podConfig("new"))
	if got := n.addresses(second)[0].String(); !strings.HasPrefix(got, "10.23.") {
		t.Errorf("address %s: the renamed configuration was not seen", got)
	}
}

func TestNetworkReadySaysWhyNot(t *testing.T) {
	n := newNode(t)
	if condition := n.networkReady(); !condition.GetStatus() {
		t.Errorf("not ready: %v", condition)
	}
	n.configure("05-gone.conflist", strings.ReplaceAll(conflist(t), `"netplug"`, `"no-such-plugin"`))
	condition := n.networkReady()
	if condition.GetStatus() || !strings.Contains(condition.GetMessage(), "no-such-plugin") {
		t.Errorf("with a plugin that is not there: %v", condition)
	}
	n.unconfigure("05-gone.conflist")
	if condition := n.networkReady(); !condition.GetStatus() {
		t.Errorf("after its removal: %v", condition)
	}
}

func TestPauseIsKilled(t *testing.T) {
	n := newNode(t)
	id := n.run(podConfig("killed", hostPort(runtimeapi.Protocol_TCP, 8080, 80)))
	if err := engine(t).Kill(t.Context(), id, "SIGKILL"); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if state := n.stateOf(id); state != "SANDBOX_NOTREADY" {
			return errorf("state %s after its process was killed", state)
		}
		return nil
	})
	n.stop(id)
	n.remove(id)
	n.assertNothingLeft()
}

func TestContainerIsRemovedBehindOurBack(t *testing.T) {
	n := newNode(t)
	id := n.run(podConfig("robbed", hostPort(runtimeapi.Protocol_TCP, 8080, 80)))
	if err := engine(t).Remove(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	n.stop(id)
	n.remove(id)
	n.assertNothingLeft()
}

func TestRestartKeepsPods(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		t.Run(signal.String(), func(t *testing.T) {
			n := newNode(t)
			running, stopped := n.run(podConfig("running")), n.run(podConfig("stopped"))
			n.stop(stopped)
			before := n.addresses(running)[0]
			n.restart(signal)
			if after := n.addresses(running)[0]; after != before {
				t.Errorf("address %s, %s before the restart", after, before)
			}
			if got := n.stateOf(running) + " " + n.stateOf(stopped); got != "SANDBOX_READY SANDBOX_NOTREADY" {
				t.Errorf("states %s", got)
			}
			pings(t, "", before)
		})
	}
}

// The kubelet's patience ends at a random point of the call; whatever had been
// done by then is undone.
func TestCancelledRunLeavesNothing(t *testing.T) {
	n := newNode(t)
	n.remove(n.run(podConfig("warm-up")))
	for _, after := range []time.Duration{0, 5, 20, 50, 80, 120, 160, 200, 250} {
		ctx, cancel := context.WithTimeout(t.Context(), after*time.Millisecond)
		answer, err := n.RunPodSandbox(ctx, &runtimeapi.RunPodSandboxRequest{Config: podConfig("cancelled")})
		cancel()
		if err == nil {
			n.remove(answer.GetPodSandboxId())
			continue
		}
		eventually(t, func() error {
			n.removeUnheard()
			for kind, left := range n.remains() {
				if len(left) > 0 {
					return errorf("cancelled after %s: %s left: %v", after*time.Millisecond, kind, left)
				}
			}
			return nil
		})
	}
}

// removeUnheard removes the pods that the daemon says it ran. Of one whose answer
// was on its way when the caller's patience ended, the caller learns by a list.
func (n *node) removeUnheard() {
	n.t.Helper()
	log, err := os.ReadFile(n.log)
	if err != nil {
		n.t.Fatal(err)
	}
	for _, pod := range n.list(nil) {
		if regexp.MustCompile(`level=INFO msg=call method=RunPodSandbox .*of=` + pod.GetId()).Match(log) {
			n.remove(pod.GetId())
		}
	}
}

func TestPodCIDRsAreKept(t *testing.T) {
	n := newNode(t)
	n.unconfigure("10-mascri.conflist")
	if err := n.setPodCIDR("10.24.0.0/24,fd00:24::/64"); err != nil {
		t.Fatal(err)
	}
	if err := n.setPodCIDR("10.24.0.7/24"); err == nil {
		t.Error("a pod CIDR with host bits was accepted")
	}
	for _, name := range []string{"before", "after"} {
		addresses := n.addresses(n.run(podConfig(name)))
		if len(addresses) != 2 || !strings.HasPrefix(addresses[0].String(), "10.24.0.") || !strings.HasPrefix(addresses[1].String(), "fd00:24::") {
			t.Errorf("%s the restart: addresses %v", name, addresses)
		}
		n.restart(syscall.SIGKILL)
	}
}

func (n *node) setPodCIDR(cidr string) error {
	config := &runtimeapi.RuntimeConfig{NetworkConfig: &runtimeapi.NetworkConfig{PodCidr: cidr}}
	_, err := n.UpdateRuntimeConfig(n.t.Context(), &runtimeapi.UpdateRuntimeConfigRequest{RuntimeConfig: config})
	return err
}

// A node that gets another pod CIDR uses it as soon as no pod is left of the one
// before: until then the bridge has to stay that pod's gateway.
func TestPodCIDRChanges(t *testing.T) {
	n := newNode(t)
	n.unconfigure("10-mascri.conflist")
	old := n.run(podConfig("old"))
	if err := n.setPodCIDR("10.24.0.0/24"); err != nil {
		t.Fatal(err)
	}
	_, err := n.RunPodSandbox(t.Context(), &runtimeapi.RunPodSandboxRequest{Config: podConfig("early")})
	if err == nil || !strings.Contains(err.Error(), "already has an IP address") {
		t.Errorf("beside a pod of the old CIDR: %v", err)
	}
	pings(t, "", n.addresses(old)[0])
	n.remove(old)
	address := n.addresses(n.run(podConfig("new")))[0]
	if !strings.HasPrefix(address.String(), "10.24.0.") {
		t.Errorf("address %s", address)
	}
	pings(t, "", address)
}
