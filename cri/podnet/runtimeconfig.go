package podnet

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
)

// runtimeConfigFile keeps, in the state directory, what the kubelet told once:
// it does not say it again when only this daemon restarts.
const runtimeConfigFile = "runtime-config.json"

type runtimeConfig struct {
	PodCIDRs []netip.Prefix `json:"podCIDRs"`
}

// SetPodCIDRs makes the node's pod CIDRs known to networks set up from now on,
// through the capability ipRanges and the template of the built-in network, and
// keeps them over a restart.
func (m *Manager) SetPodCIDRs(podCIDRs []netip.Prefix) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if slices.Equal(m.podCIDRs, podCIDRs) {
		return nil
	}
	text, err := json.Marshal(runtimeConfig{PodCIDRs: podCIDRs})
	if err != nil {
		return fmt.Errorf("keep pod CIDRs %v: %w", podCIDRs, err)
	}
	if err := writeFile(filepath.Join(m.config.StateDir, runtimeConfigFile), text); err != nil {
		return fmt.Errorf("keep pod CIDRs %v: %w", podCIDRs, err)
	}
	m.log.Info("pod CIDRs changed", "from", m.podCIDRs, "to", podCIDRs)
	m.podCIDRs = slices.Clone(podCIDRs)
	return nil
}

// PodCIDRs returns what SetPodCIDRs was last given; none where it never was.
func (m *Manager) PodCIDRs() []netip.Prefix {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.podCIDRs)
}

// templateData is as of now.
func (m *Manager) templateData() TemplateData {
	m.mu.Lock()
	defer m.mu.Unlock()
	outside := func(pod netip.Prefix) bool {
		holds := func(cidr netip.Prefix) bool { return cidr.Contains(pod.Addr()) }
		return !slices.ContainsFunc(orBuiltin(m.podCIDRs), holds)
	}
	data := TemplateData{PodCIDRs: slices.Clone(m.podCIDRs), Readdress: true}
	for _, pod := range m.results {
		if slices.ContainsFunc(pod.Addresses, outside) {
			data.Readdress = false
		}
	}
	return data
}

func loadPodCIDRs(stateDir string) ([]netip.Prefix, error) {
	file := filepath.Join(stateDir, runtimeConfigFile)
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the pod CIDRs of the last run: %w", err)
	}
	var kept runtimeConfig
	if err := json.Unmarshal(text, &kept); err != nil {
		return nil, fmt.Errorf("read the pod CIDRs of the last run: %s: %w (remove the file and restart the kubelet to have them sent again)", file, err)
	}
	return kept.PodCIDRs, nil
}

// writeFile replaces a file so that a crash leaves the old content or the new,
// never a part.
func writeFile(name string, content []byte) error {
	temp, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	_, err = temp.Write(content)
	err = errors.Join(err, temp.Sync(), temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp.Name()))
	}
	return nil
}
