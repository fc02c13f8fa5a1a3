package monitor

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"google.golang.org/grpc/status"

	"github.com/mascri/mascri/cri/docker"
)

// buckets reach from an answer out of memory to the kubelet's own patience of
// two minutes, in seconds.
var buckets = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120}

// Metrics count what the daemon does. Each label has few values, whatever
// callers send: methods and verbs are those of the protocols, operations those
// of our Docker adapter, plugins those of the network configuration.
type Metrics struct {
	registry *prometheus.Registry
	calls    pair
	plugins  pair
	requests pair
}

// A pair is how long things took, all of them, and how many ended in an error.
type pair struct {
	took   *prometheus.HistogramVec
	failed *prometheus.CounterVec
}

// NewMetrics makes the metrics of a daemon of that version.
func NewMetrics(version string) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		calls: newPair("mascri_cri", "CRI calls",
			"code", "the gRPC code", "method"),
		plugins: newPair("mascri_cni", "runs of CNI plugins",
			"code", "the CNI error code, or timeout, canceled, other", "verb", "plugin"),
		requests: newPair("mascri_docker", "requests to the Docker engine",
			"reason", "what kind of error it was", "operation"),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "mascri_build_info", Help: "Always 1; the version is the label.",
		ConstLabels: prometheus.Labels{"version": version},
	})
	build.Set(1)
	m.registry.MustRegister(m.calls.took, m.calls.failed, m.plugins.took, m.plugins.failed,
		m.requests.took, m.requests.failed, build, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// newPair makes two metrics of the same labels; errors have one more.
func newPair(prefix, of, errorLabel, errorHelp string, labels ...string) pair {
	return pair{
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: prefix + "_duration_seconds", Help: "How long " + of + " took, failed ones included.", Buckets: buckets,
		}, labels),
		failed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: prefix + "_errors_total", Help: "How many " + of + " ended in an error, by " + errorHelp + ".",
		}, append(labels, errorLabel)),
	}
}

func (p pair) observe(took time.Duration, reason string, labels ...string) {
	p.took.WithLabelValues(labels...).Observe(took.Seconds())
	if reason != "" {
		p.failed.WithLabelValues(append(labels, reason)...).Inc()
	}
}

// Call counts a CRI call; it is a cri.Config.OnCall.
func (m *Metrics) Call(method string, took time.Duration, err error) {
	reason := ""
	if err != nil {
		reason = status.Code(err).String()
	}
	m.calls.observe(took, reason, method)
}

// Plugin counts a run of a CNI plugin; it is a podnet.Config.OnPlugin.
func (m *Metrics) Plugin(verb, plugin string, took time.Duration, err error) {
	m.plugins.observe(took, pluginReason(err), verb, plugin)
}

// Request counts a request to the engine, for docker.WithObserver.
func (m *Metrics) Request(operation string, took time.Duration, err error) {
	m.requests.observe(took, engineReason(err), operation)
}

// maxCode is the greatest CNI error code that gets a label of its own: section 5
// of the specification, netplug and ipam use those up to 104. Foreign plugins
// may use any number.
const maxCode = 104

func pluginReason(err error) string {
	var plugin *types.Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &plugin) && plugin.Code <= maxCode:
		return strconv.FormatUint(uint64(plugin.Code), 10)
	}
	return waitReason(err)
}

// engineReasons names the errors of cri/docker.
var engineReasons = []struct {
	err  error
	name string
}{
	{docker.ErrNotFound, "not_found"},
	{docker.ErrConflict, "conflict"},
	{docker.ErrUnavailable, "unavailable"},
	{docker.ErrInvalid, "invalid"},
	{docker.ErrDenied, "denied"},
	{docker.ErrNotRunning, "not_running"},
	{docker.ErrUnsupported, "unsupported"},
	{docker.ErrInUse, "in_use"},
	{docker.ErrEngine, "engine"},
}

func engineReason(err error) string {
	if err == nil {
		return ""
	}
	for _, r := range engineReasons {
		if errors.Is(err, r.err) {
			return r.name
		}
	}
	return waitReason(err)
}

// waitReason tells who lost patience, if that is what it was.
func waitReason(err error) string {
	switch {
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	}
	return "other"
}
