package podnet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/containernetworking/cni/libcni"
)

// ErrNotAttached says that no ADD has finished for a pod, or a DEL has since.
var ErrNotAttached = errors.New("pod is not attached to a network")

// Result returns what the pod got when it was set up, in this run of the
// program or an earlier one, or ErrNotAttached.
func (m *Manager) Result(_ context.Context, id string) (Result, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	result, ok := m.results[id]
	if !ok {
		return Result{}, fmt.Errorf("%s: %w", id, ErrNotAttached)
	}
	return result, nil
}

// readResults reads libcni's records of the ADDs of earlier runs. A record that
// cannot be read counts as none, so that its pod will be replaced; the others
// keep their network.
func (m *Manager) readResults() error {
	records, err := m.cni.GetCachedAttachments("")
	if err != nil {
		return fmt.Errorf("read the records of pods on networks: %w", err)
	}
	for _, record := range records {
		if record.IfName != IfName {
			continue
		}
		result, err := m.recorded(record)
		if err != nil {
			m.log.Error("a pod counts as not connected, since the record of its network cannot be read; replace it", "sandbox", record.ContainerID, "error", err)
			continue
		}
		m.keep(record.ContainerID, result)
	}
	return nil
}

// recorded reads the result in libcni's record of an ADD.
func (m *Manager) recorded(record *libcni.NetworkAttachment) (Result, error) {
	network, err := parseNetwork(record.Config, "record of the ADD", "")
	if err != nil {
		return Result{}, fmt.Errorf("record of pod %s on network %s: %w", record.ContainerID, record.Network, err)
	}
	answer, err := m.cni.GetNetworkListCachedResult(network.list,
		&libcni.RuntimeConf{ContainerID: record.ContainerID, IfName: record.IfName})
	if err != nil {
		return Result{}, fmt.Errorf("record of pod %s on network %s: %w", record.ContainerID, record.Network, err)
	}
	if answer == nil { // deleted since it was listed
		return Result{}, fmt.Errorf("%s: %w", record.ContainerID, ErrNotAttached)
	}
	return resultFrom(record.Network, answer)
}

func (m *Manager) keep(id string, result Result) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.results[id] = result
}

func (m *Manager) forget(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.results, id)
}

// Known lists the pods that have a record of an ADD, a pinned namespace or a DEL
// that is owed:
// whatever of them the caller does not know has to be torn down.
func (m *Manager) Known() ([]string, error) {
	ids := map[string]bool{}
	records, err := m.cni.GetCachedAttachments("")
	if err != nil {
		return nil, fmt.Errorf("list the pods on networks: %w", err)
	}
	for _, record := range records {
		ids[record.ContainerID] = true
	}
	entries, err := os.ReadDir(filepath.Join(m.config.RunDir, netnsDir))
	if err != nil {
		return nil, fmt.Errorf("list the pinned network namespaces: %w", err)
	}
	for _, entry := range entries {
		ids[entry.Name()] = true
	}
	owed, err := m.owed()
	if err != nil {
		return nil, err
	}
	for _, id := range owed {
		ids[id] = true
	}
	var known []string
	for id := range ids {
		known = append(known, id)
	}
	return known, nil
}
