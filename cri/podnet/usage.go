package podnet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
)

// Usage is how many addresses of one network are in use, seen from both ends.
// On a network that only this daemon uses they are the same; a lease that no
// pod has is lost until it is collected.
type Usage struct {
	Network   string
	Leases    int // held by the address plugin; -1 where it keeps none that can be counted
	Addresses int // of the pods that were set up here
}

// leaseFileKeepers keep a directory a network, and in it a file named by each
// leased address: host-local's layout, and ipam's. The files are what an
// administrator would look at, and CNI has no verb to ask for their number.
var leaseFileKeepers = []string{"ipam", "host-local"}

const defaultLeaseDir = "/var/lib/cni/networks"

// Usage counts the addresses of each network that has pods, and of the one that
// a pod would be put on now.
func (m *Manager) Usage(ctx context.Context) ([]Usage, error) {
	records, err := m.cni.GetCachedAttachments("")
	if err != nil {
		return nil, fmt.Errorf("count the addresses in use: %w", err)
	}
	var usages []Usage
	// A missing configuration is for Status to tell.
	if network, err := m.Network(); err == nil {
		usages = append(usages, Usage{Network: network.Name, Leases: countLeases(network)})
	}
	for _, record := range records {
		if record.IfName != IfName {
			continue
		}
		i := slices.IndexFunc(usages, func(u Usage) bool { return u.Network == record.Network })
		if i < 0 {
			network, err := parseNetwork(record.Config, "record of the ADD", "")
			if err != nil {
				return nil, fmt.Errorf("count the addresses of network %s: %w", record.Network, err)
			}
			i = len(usages)
			usages = append(usages, Usage{Network: record.Network, Leases: countLeases(network)})
		}
		result, err := m.Result(ctx, record.ContainerID)
		if err != nil && !errors.Is(err, ErrNotAttached) { // torn down meanwhile
			return nil, err
		}
		usages[i].Addresses += len(result.Addresses)
	}
	return usages, nil
}

// countLeases is -1 for a network whose address plugin keeps no such files, or
// none that can be read here.
func countLeases(network Network) int {
	for _, plugin := range network.list.Plugins {
		if !slices.Contains(leaseFileKeepers, plugin.Network.IPAM.Type) {
			continue
		}
		var config struct {
			IPAM struct {
				DataDir string `json:"dataDir"`
			} `json:"ipam"`
		}
		if err := json.Unmarshal(plugin.Bytes, &config); err != nil {
			return -1
		}
		if config.IPAM.DataDir == "" {
			config.IPAM.DataDir = defaultLeaseDir
		}
		return countAddressFiles(filepath.Join(config.IPAM.DataDir, network.Name))
	}
	return -1
}

// countAddressFiles reads names only: a large network has tens of thousands.
func countAddressFiles(name string) (count int) {
	dir, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return 0
	}
	if err != nil {
		return -1
	}
	defer func() { _ = dir.Close() }() // it was only read
	for {
		names, err := dir.Readdirnames(1024)
		for _, name := range names {
			if _, err := netip.ParseAddr(name); err == nil {
				count++
			}
		}
		if errors.Is(err, io.EOF) {
			return count
		}
		if err != nil {
			return -1
		}
	}
}
