//go:build e2e && linux

package test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// monitorAddress is the daemon's, on the loopback of this machine alone.
const monitorAddress = "127.0.0.1:9465"

// expectPage asks the daemon's monitoring until it answers with that code and
// those words: answers about the network may be a few seconds old.
func (n *node) expectPage(path string, code int, says ...string) {
	n.t.Helper()
	eventually(n.t, func() error {
		answer, err := http.Get("http://" + monitorAddress + path)
		if err != nil {
			return err
		}
		defer func() { _ = answer.Body.Close() }() // read to its end
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			return err
		}
		for _, word := range says {
			if !strings.Contains(string(text), word) {
				return fmt.Errorf("%s lacks %q:\n%s", path, word, text)
			}
		}
		if answer.StatusCode != code {
			return fmt.Errorf("%s answers %s, want %d:\n%s", path, answer.Status, code, text)
		}
		return nil
	})
}

// What an administrator sees of a daemon, and when it is not ready, why.
func TestMonitoring(t *testing.T) {
	n := newNode(t)
	n.flags = []string{"--monitor-address", monitorAddress}
	n.restart(syscall.SIGTERM)
	n.expectPage("/healthz", http.StatusOK, "ok")
	n.expectPage("/readyz", http.StatusOK, "ok")
	id := n.run(podConfig("counted"))
	if _, err := n.RunPodSandbox(t.Context(), &runtimeapi.RunPodSandboxRequest{Config: podConfig("counted")}); status.Code(err) != codes.AlreadyExists {
		t.Errorf("the same pod again: %v", err)
	}
	n.expectPage("/metrics", http.StatusOK,
		`mascri_cri_duration_seconds_count{method="RunPodSandbox"} 2`,
		`mascri_cri_errors_total{code="AlreadyExists",method="RunPodSandbox"} 1`,
		`mascri_cni_duration_seconds_count{plugin="netplug",verb="ADD"} 1`,
		`mascri_docker_duration_seconds_count{operation="create sandbox"}`,
		`mascri_ipam_leases{network="mascri"} 1`,
		`mascri_pod_addresses{network="mascri"} 1`)
	n.remove(id)
	n.expectPage("/metrics", http.StatusOK, `mascri_ipam_leases{network="mascri"} 0`, `mascri_pod_addresses{network="mascri"} 0`)
	n.expectPage("/debug/pprof/", http.StatusNotFound)
	n.configure("10-mascri.conflist", "{")
	n.expectPage("/readyz", http.StatusServiceUnavailable, "NetworkReady is false", "10-mascri.conflist")
	n.expectPage("/metrics", http.StatusOK, `mascri_condition{type="NetworkReady"} 0`)
	n.expectPage("/healthz", http.StatusOK, "ok")
	n.configure("10-mascri.conflist", conflist(t))
}

// A daemon that is told to end does not wait for those who only listen.
func TestStopWithListeners(t *testing.T) {
	n := newNode(t)
	events, err := n.GetContainerEvents(t.Context(), &runtimeapi.GetEventsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	n.run(podConfig("seen"))
	if _, err := events.Recv(); err != nil { // the stream is up
		t.Fatal(err)
	}
	n.stopDaemon(syscall.SIGTERM)
	for err == nil {
		_, err = events.Recv()
	}
	if status.Code(err) != codes.Unavailable {
		t.Errorf("the listener hears %v, want Unavailable", err)
	}
	n.start()
	n.awaitAnswer()
}

// A network of Docker's that does not exist is seen before a pod needs it.
func TestMissingDockerNetwork(t *testing.T) {
	n := newNode(t)
	const name = "pods"
	n.network, n.flags = "docker", []string{"--docker-network", name}
	n.restart(syscall.SIGTERM)
	if ready := n.networkReady(); ready.GetStatus() || !strings.Contains(ready.GetMessage(), "docker network create "+name) {
		t.Errorf("without the network: %v", ready)
	}
	shell(t, "docker", "network", "create", name)
	t.Cleanup(func() {
		ctx, cancel := testContext()
		defer cancel()
		output(t, ctx, "docker", "network", "rm", name)
	})
	if ready := n.networkReady(); !ready.GetStatus() {
		t.Errorf("with the network: %v", ready)
	}
	n.remove(n.run(podConfig("connected")))
}
