package monitor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containernetworking/cni/pkg/types"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/mascri/mascri/cri"
	"github.com/mascri/mascri/cri/docker"
	"github.com/mascri/mascri/cri/dryrun"
	"github.com/mascri/mascri/cri/podnet"
)

// A watched daemon is a real one, of dry runs, that tests look at as an
// administrator does.
type watched struct {
	t       *testing.T
	metrics *Metrics
	server  *Server
	stop    func() // the daemon, not its monitoring
}

// watch starts a daemon with that template of a network; "" is none.
func watch(t *testing.T, template string, config Config) *watched {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	listener, err := cri.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	config.Metrics = NewMetrics("1.2.3")
	config.Log = slog.New(slog.DiscardHandler)
	if config.Probe, err = NewProbe(path); err != nil {
		t.Fatal(err)
	}
	config.Address = "127.0.0.1:0"
	server, err := Listen(config)
	if err != nil {
		t.Fatal(err)
	}
	network := dryrun.NewNetwork(t.TempDir(), template, t.TempDir(), nil)
	daemon := cri.New(cri.Config{OnCall: config.Metrics.Call}, dryrun.NewEngine(), network)
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- daemon.Serve(ctx, listener) }()
	w := &watched{t: t, metrics: config.Metrics, server: server}
	ended := false
	w.stop = func() {
		t.Helper()
		stop()
		if !ended {
			if err := <-served; err != nil {
				t.Error(err)
			}
		}
		ended = true
	}
	t.Cleanup(func() {
		if err := errors.Join(server.Close(), config.Probe.Close()); err != nil {
			t.Error(err)
		}
		w.stop()
	})
	return w
}

// get returns the answer's code and text.
func (w *watched) get(path string) (int, string) {
	w.t.Helper()
	answer, err := http.Get("http://" + w.server.Address() + path)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }() // read to its end
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

// expect looks for the code and a part of the text.
func (w *watched) expect(path string, code int, says string) {
	w.t.Helper()
	got, text := w.get(path)
	if got != code || !strings.Contains(text, says) {
		w.t.Errorf("%s answers %d %q, want %d and %q", path, got, text, code, says)
	}
}

func TestHealthAndReadiness(t *testing.T) {
	w := watch(t, podnet.BuiltinTemplate, Config{})
	w.expect("/healthz", http.StatusOK, "ok\n")
	w.expect("/readyz", http.StatusOK, "ok\n")
	w.expect("/metrics", http.StatusOK, `mascri_condition{type="NetworkReady"} 1`)
	w.stop()
	w.expect("/healthz", http.StatusServiceUnavailable, "socket does not answer")
	w.expect("/readyz", http.StatusServiceUnavailable, "socket does not answer")
	w.expect("/metrics", http.StatusOK, "mascri_build_info")
}

// A daemon without a network lives, and is not ready.
func TestNotReady(t *testing.T) {
	w := watch(t, "", Config{})
	w.expect("/healthz", http.StatusOK, "ok\n")
	w.expect("/readyz", http.StatusServiceUnavailable, "NetworkReady is false (NetworkPluginNotReady): no CNI configuration")
	w.expect("/metrics", http.StatusOK, `mascri_condition{type="NetworkReady"} 0`)
	w.expect("/metrics", http.StatusOK, `mascri_condition{type="RuntimeReady"} 1`)
}

func TestProfilesAreOffByDefault(t *testing.T) {
	for profiles, code := range map[bool]int{false: http.StatusNotFound, true: http.StatusOK} {
		w := watch(t, "", Config{Profiles: profiles})
		for _, path := range []string{"/debug/pprof/", "/debug/pprof/goroutine?debug=1", "/debug/pprof/cmdline"} {
			w.expect(path, code, "")
		}
	}
}

func TestOnlyLoopback(t *testing.T) {
	for address, allowed := range map[string]bool{
		"127.0.0.1:0": true, "[::1]:9465": true, "127.1.2.3:1": true,
		"0.0.0.0:9465": false, "[::]:9465": false, ":9465": false, "192.0.2.1:9465": false, "localhost:9465": false, "127.0.0.1": false, "": false,
	} {
		if err := CheckAddress(address); (err == nil) != allowed {
			t.Errorf("%q: %v", address, err)
		}
	}
	if _, err := Listen(Config{Address: "0.0.0.0:0"}); err == nil {
		t.Error("a server listens to all the world")
	}
}

// What is observed is counted below the labels that the documentation names, and
// what callers make up adds no label.
func TestMetrics(t *testing.T) {
	usage := func(context.Context) ([]podnet.Usage, error) {
		return []podnet.Usage{{Network: "pods", Leases: 3, Addresses: 2}, {Network: "foreign", Leases: -1, Addresses: 1}}, nil
	}
	w := watch(t, "", Config{Usage: usage})
	w.metrics.Call("RunPodSandbox", 30*time.Millisecond, nil)
	w.metrics.Call("RunPodSandbox", time.Second, status.Error(codes.ResourceExhausted, "full"))
	w.metrics.Plugin("ADD", "netplug", time.Millisecond, fmt.Errorf("add: %w", types.NewError(101, "full", "")))
	w.metrics.Plugin("ADD", "netplug", time.Millisecond, types.NewError(70000, "foreign", ""))
	w.metrics.Plugin("DEL", "netplug", time.Millisecond, fmt.Errorf("killed: %w", context.DeadlineExceeded))
	w.metrics.Request("start", time.Millisecond, nil)
	w.metrics.Request("start", time.Millisecond, fmt.Errorf("start x: %w", docker.ErrUnavailable))
	w.metrics.Request("pull", time.Millisecond, context.Canceled)
	w.metrics.Request("remove image", time.Millisecond, fmt.Errorf("remove image x: %w", docker.ErrInUse))
	_, text := w.get("/metrics")
	for _, want := range []string{
		`mascri_cri_duration_seconds_count{method="RunPodSandbox"} 2`,
		`mascri_cri_duration_seconds_bucket{method="RunPodSandbox",le="0.05"} 1`,
		`mascri_cri_errors_total{code="ResourceExhausted",method="RunPodSandbox"} 1`,
		`mascri_cni_duration_seconds_count{plugin="netplug",verb="ADD"} 2`,
		`mascri_cni_errors_total{code="101",plugin="netplug",verb="ADD"} 1`,
		`mascri_cni_errors_total{code="other",plugin="netplug",verb="ADD"} 1`,
		`mascri_cni_errors_total{code="timeout",plugin="netplug",verb="DEL"} 1`,
		`mascri_docker_duration_seconds_count{operation="start"} 2`,
		`mascri_docker_errors_total{operation="start",reason="unavailable"} 1`,
		`mascri_docker_errors_total{operation="pull",reason="canceled"} 1`,
		`mascri_docker_errors_total{operation="remove image",reason="in_use"} 1`,
		`mascri_ipam_leases{network="pods"} 3`,
		`mascri_pod_addresses{network="pods"} 2`,
		`mascri_pod_addresses{network="foreign"} 1`,
		`mascri_build_info{version="1.2.3"} 1`,
		"go_goroutines ", "process_open_fds ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
	if strings.Contains(text, `mascri_ipam_leases{network="foreign"}`) {
		t.Error("leases that cannot be counted are given a number")
	}
	checkReference(t, text)
}

// checkReference holds the documentation's table of metrics to those there are.
func checkReference(t *testing.T, scrape string) {
	t.Helper()
	reference, err := os.ReadFile("../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	var are, said []string
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (mascri_\w+) `).FindAllStringSubmatch(scrape, -1) {
		are = append(are, m[1])
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `(mascri_\\w+)` \\|").FindAllSubmatch(reference, -1) {
		said = append(said, string(m[1]))
	}
	slices.Sort(are)
	slices.Sort(said)
	if !slices.Equal(are, said) {
		t.Errorf("docs/operating.md has the metrics\n%q, there are\n%q", said, are)
	}
}

// A usage that cannot be found out does not cost the rest of the scrape.
func TestScrapeWithoutUsage(t *testing.T) {
	w := watch(t, "", Config{Usage: func(context.Context) ([]podnet.Usage, error) { return nil, errors.New("no such directory") }})
	w.expect("/metrics", http.StatusOK, "mascri_condition")
}
