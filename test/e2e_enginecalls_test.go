//go:build e2e && linux

package test

import (
	"context"
	"net"
	"net/http"
	"net/http/httputil"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// engineSocket is where the machine's engine listens.
const engineSocket = "/var/run/docker.sock"

// tap is a proxy before the engine that notes the requests to it.
type tap struct {
	host string // for --docker-host

	mu       sync.Mutex
	requests []string // "GET /v1.41/containers/json"
}

func newTap(t *testing.T) *tap {
	t.Helper()
	path := filepath.Join(t.TempDir(), "docker.sock")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	a := &tap{host: "unix://" + path}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", engineSocket)
	}
	engine := &httputil.ReverseProxy{
		Transport:     &http.Transport{DialContext: dial, DisableCompression: true},
		FlushInterval: -1, // at once: events are a stream
		Rewrite:       func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = "http", "docker" },
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		a.requests = append(a.requests, r.Method+" "+r.URL.Path)
		a.mu.Unlock()
		engine.ServeHTTP(w, r)
	})}
	go func() { _ = server.Serve(listener) }() // until it is closed
	t.Cleanup(func() { _ = server.Close() })   // cuts what is still open
	return a
}

// during returns what is asked of the engine while f runs.
func (a *tap) during(f func()) []string {
	a.mu.Lock()
	begin := len(a.requests)
	a.mu.Unlock()
	f()
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.requests[begin:])
}

// awaitQuiet waits until nothing has been asked for a while: the events of the
// last calls have been dealt with.
func (a *tap) awaitQuiet(t *testing.T) {
	t.Helper()
	eventually(t, func() error {
		if asked := a.during(func() { time.Sleep(300 * time.Millisecond) }); len(asked) > 0 {
			return errorf("the engine is still asked: %v", asked)
		}
		return nil
	})
}

// tapped is a change for newNode.
func tapped(a *tap) func(*node) { return func(n *node) { n.engine = a.host } }

// What the kubelet asks several times a second costs the engine nothing, and is
// right after each of our calls and after what happened behind our back.
func TestListsAskNothingOfTheEngine(t *testing.T) {
	importImage(t)
	a := newTap(t)
	n := newNode(t, tapped(a))
	pod := n.run(containerPod("known", ""))
	stopped := n.run(podConfig("stopped"))
	id := n.runContainer(pod, shellContainer("web", "sleep 300"))
	n.stop(stopped)
	a.awaitQuiet(t)
	looks := map[string]func() string{
		"PodSandboxStatus":   func() string { return n.status(pod).GetState().String() },
		"of a stopped one":   func() string { return n.status(stopped).GetState().String() },
		"ContainerStatus":    func() string { return n.containerStatus(id).GetState().String() },
		"ListPodSandbox":     func() string { return n.list(nil)[0].GetState().String() },
		"ListContainers":     func() string { return n.containerList()[0].GetState().String() },
		"ListContainerStats": func() string { return n.containerStats()[0].GetAttributes().GetId() },
	}
	for name, look := range looks {
		if asked := a.during(func() { look() }); len(asked) > 0 {
			t.Errorf("%s asked the engine: %v", name, asked)
		}
	}
	n.stopContainer(id)
	if state := looks["ContainerStatus"](); state != "CONTAINER_EXITED" {
		t.Errorf("%s after StopContainer", state)
	}
	if state := looks["ListContainers"](); state != "CONTAINER_EXITED" {
		t.Errorf("listed as %s after StopContainer", state)
	}
	if err := engine(t).Kill(t.Context(), pod, "SIGKILL"); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if state := looks["PodSandboxStatus"](); state != "SANDBOX_NOTREADY" {
			return errorf("%s after the sandbox was killed behind our back", state)
		}
		return nil
	})
}

// A pod is not paid for twice: the engine is asked to create, to start, and what
// came of it; once more where the event of the start is faster than its answer.
func TestRunAsksLittleOfTheEngine(t *testing.T) {
	a := newTap(t)
	n := newNode(t, tapped(a))
	n.run(podConfig("warm-up"))
	a.awaitQuiet(t)
	asked := a.during(func() {
		n.run(podConfig("counted"))
		a.awaitQuiet(t)
	})
	if len(asked) > 4 {
		t.Errorf("RunPodSandbox took %d requests, want create, start and inspect: %v", len(asked), asked)
	}
}

func (n *node) containerList() []*runtimeapi.Container {
	n.t.Helper()
	answer, err := n.ListContainers(n.t.Context(), &runtimeapi.ListContainersRequest{})
	if err != nil {
		n.t.Fatalf("ListContainers: %v", err)
	}
	return answer.GetContainers()
}

func (n *node) containerStats() []*runtimeapi.ContainerStats {
	n.t.Helper()
	answer, err := n.ListContainerStats(n.t.Context(), &runtimeapi.ListContainerStatsRequest{})
	if err != nil {
		n.t.Fatalf("ListContainerStats: %v", err)
	}
	return answer.GetStats()
}
