package stats

import (
	"fmt"
	"strconv"
	"strings"
)

// link holds an interface's counters.
type link struct {
	name                                    string
	rxBytes, rxPackets, rxErrors, rxDropped uint64
	txBytes, txPackets, txErrors, txDropped uint64
}

// parseLinks reads /proc/PID/net/dev (proc_pid_net(5)): two lines of titles,
// then "name:" and sixteen counters a line. Loopback is left out, as the kubelet
// leaves it out.
func parseLinks(text string) ([]link, error) {
	var links []link
	for line := range strings.Lines(text) {
		name, counters, ok := strings.Cut(strings.TrimSpace(line), ":")
		if !ok || name == "lo" {
			continue
		}
		var n [16]uint64
		fields := strings.Fields(counters)
		if len(fields) < len(n) {
			return nil, fmt.Errorf("interface line %q: want %d counters", line, len(n))
		}
		for i := range n {
			var err error
			if n[i], err = strconv.ParseUint(fields[i], 10, 64); err != nil {
				return nil, fmt.Errorf("interface line %q: %w", line, err)
			}
		}
		links = append(links, link{
			name:    strings.TrimSpace(name),
			rxBytes: n[0], rxPackets: n[1], rxErrors: n[2], rxDropped: n[3],
			txBytes: n[8], txPackets: n[9], txErrors: n[10], txDropped: n[11],
		})
	}
	return links, nil
}
