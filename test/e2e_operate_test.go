//go:build e2e && linux

package test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

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
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	events, err := n.GetContainerEvents(ctx, &runtimeapi.GetEventsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	heard, ended := make(chan bool, 1), make(chan error, 1)
	go func() {
		for {
			if _, err := events.Recv(); err != nil {
				ended <- err
				return
			}
			select {
			case heard <- true:
			default:
			}
		}
	}()
	// When the daemon has begun to listen to the call, only an event tells.
	pods := 0
	eventually(t, func() error {
		pods++
		n.run(podConfig(fmt.Sprintf("seen-%d", pods)))
		select {
		case <-heard:
			return nil
		case <-time.After(time.Second):
			return errors.New("no event has come")
		}
	})
	n.stopDaemon(syscall.SIGTERM)
	if err := <-ended; status.Code(err) != codes.Unavailable {
		t.Errorf("the listener hears %v, want Unavailable", err)
	}
	n.start()
	n.awaitAnswer()
}

// The service manager hears when the daemon serves, that it lives, and when it
// ends: the messages of sd_notify(3).
func TestServiceManagerHears(t *testing.T) {
	n := newNode(t)
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(n.dir, "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = manager.Close() }() // only read from
	expect := func(want string) {
		t.Helper()
		text := make([]byte, 512)
		if err := manager.SetReadDeadline(time.Now().Add(15 * time.Second)); err != nil {
			t.Fatal(err)
		}
		for {
			length, err := manager.Read(text)
			if err != nil {
				t.Fatalf("the manager does not hear %s: %v", want, err)
			}
			if strings.HasPrefix(string(text[:length]), want) {
				return
			}
		}
	}
	t.Setenv("NOTIFY_SOCKET", manager.LocalAddr().String())
	t.Setenv("WATCHDOG_USEC", "400000")
	n.restart(syscall.SIGTERM)
	expect("READY=1")
	expect("WATCHDOG=1")
	expect("WATCHDOG=1")
	n.stopDaemon(syscall.SIGTERM)
	expect("STOPPING=1")
	n.start()
	n.awaitAnswer()
}

// A second signal does not wait for a call that hangs, and what that call leaves
// is cleared up by the next start.
func TestSecondSignal(t *testing.T) {
	n := newNode(t)
	n.flags = []string{"--monitor-address", monitorAddress, "--pprof", "on"}
	n.restart(syscall.SIGTERM)
	text, err := os.ReadFile("/run/docker.pid")
	if err != nil {
		t.Fatal(err)
	}
	dockerd, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	signal := func(pid int, signal syscall.Signal) {
		t.Helper()
		if err := syscall.Kill(pid, signal); err != nil {
			t.Fatal(err)
		}
	}
	signal(dockerd, syscall.SIGSTOP)
	t.Cleanup(func() { signal(dockerd, syscall.SIGCONT) })
	failed := make(chan error, 1)
	go func() {
		_, err := n.RunPodSandbox(t.Context(), &runtimeapi.RunPodSandboxRequest{Config: podConfig("hangs")})
		failed <- err
	}()
	n.expectPage("/debug/pprof/goroutine?debug=1", http.StatusOK, "docker.(*Engine).CreateSandbox") // it waits there
	signal(n.daemon.Process.Pid, syscall.SIGTERM)
	eventually(t, func() error { // it takes no more calls
		if _, err := os.Stat(n.socket()); !os.IsNotExist(err) {
			return fmt.Errorf("the socket is still there: %v", err)
		}
		return nil
	})
	n.stopDaemon(syscall.SIGTERM)
	if err := <-failed; status.Code(err) != codes.Unavailable {
		t.Errorf("the call that hung: %v, want Unavailable", err)
	}
	signal(dockerd, syscall.SIGCONT)
	n.start()
	n.awaitAnswer()
	eventually(t, func() error { // the engine may make it now only
		if pods := n.list(nil); len(pods) > 0 {
			return fmt.Errorf("pods after the next start: %v", pods)
		}
		return nil
	})
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
