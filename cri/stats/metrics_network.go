package stats

import cri "k8s.io/cri-api/pkg/apis/runtime/v1"

// networkMetrics belong to the pod, as its interfaces do.
var networkMetrics = []struct {
	name, help string
	of         func(link) uint64
}{
	{"container_network_receive_bytes_total", "Bytes received.", func(l link) uint64 { return l.rxBytes }},
	{"container_network_receive_packets_total", "Packets received.", func(l link) uint64 { return l.rxPackets }},
	{"container_network_receive_packets_dropped_total", "Packets dropped on receiving.", func(l link) uint64 { return l.rxDropped }},
	{"container_network_receive_errors_total", "Errors on receiving.", func(l link) uint64 { return l.rxErrors }},
	{"container_network_transmit_bytes_total", "Bytes sent.", func(l link) uint64 { return l.txBytes }},
	{"container_network_transmit_packets_total", "Packets sent.", func(l link) uint64 { return l.txPackets }},
	{"container_network_transmit_packets_dropped_total", "Packets dropped on sending.", func(l link) uint64 { return l.txDropped }},
	{"container_network_transmit_errors_total", "Errors on sending.", func(l link) uint64 { return l.txErrors }},
}

func networkSamples(base []string, links []link) (all []*cri.Metric) {
	for _, m := range networkMetrics {
		for _, l := range links {
			all = append(all, newMetric(m.name, cri.MetricType_COUNTER, base, sample{m.of(l), []string{l.name}}))
		}
	}
	return all
}
