package monitor

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/mascri/mascri/cri/podnet"
)

// scrapeTimeout bounds what is looked up for one scrape. Prometheus gives up
// after 10 s by default.
const scrapeTimeout = 5 * time.Second

var (
	conditionMetric = prometheus.NewDesc("mascri_condition",
		"1 where a condition of the CRI's Status is true: RuntimeReady, NetworkReady.", []string{"type"}, nil)
	leasesMetric = prometheus.NewDesc("mascri_ipam_leases",
		"Addresses that the address plugin holds leased, counted by its files.", []string{"network"}, nil)
	addressesMetric = prometheus.NewDesc("mascri_pod_addresses",
		"Addresses of pods that were set up by this daemon.", []string{"network"}, nil)
)

// A state is what a scrape has to look up, since nobody reports its changes.
type state struct {
	probe *Probe
	usage func(context.Context) ([]podnet.Usage, error) // nil: the network mode knows none
	log   *slog.Logger
}

// Describe is prometheus.Collector's.
func (s *state) Describe(out chan<- *prometheus.Desc) {
	out <- conditionMetric
	out <- leasesMetric
	out <- addressesMetric
}

// Collect is prometheus.Collector's. What cannot be found out is left out of the
// scrape, and does not keep the rest from it.
func (s *state) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	gauge := func(desc *prometheus.Desc, value float64, label string) {
		out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, label)
	}
	conditions, err := s.probe.Conditions(ctx)
	if err != nil {
		s.log.Warn("a scrape could not ask for the status", "error", err)
	}
	for _, c := range conditions {
		value := 0.
		if c.GetStatus() {
			value = 1
		}
		gauge(conditionMetric, value, c.GetType())
	}
	if s.usage == nil {
		return
	}
	usages, err := s.usage(ctx)
	if err != nil {
		s.log.Warn("a scrape could not count the addresses in use", "error", err)
	}
	for _, u := range usages {
		gauge(addressesMetric, float64(u.Addresses), u.Network)
		if u.Leases >= 0 {
			gauge(leasesMetric, float64(u.Leases), u.Network)
		}
	}
}
