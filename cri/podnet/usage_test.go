package podnet

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// withLeases is a network whose address plugin keeps its files in dir.
func withLeases(name, keeper, dir string) string {
	return fmt.Sprintf(`{"cniVersion": "1.1.0", "name": %q, "plugins": [{"type": "one", "ipam": {"type": %q, "dataDir": %q}}]}`, name, keeper, dir)
}

// The leases on disk and the addresses of pods are counted apart, a network at a
// time, also one that no new pod would be put on.
func TestUsage(t *testing.T) {
	config := testConfig(t)
	var runs []string
	config.OnPlugin = func(verb, plugin string, _ time.Duration, err error) {
		runs = append(runs, fmt.Sprint(verb, " ", plugin, " ", err))
	}
	newFake(t, config, "one", "")
	dir := t.TempDir()
	m := newManager(t, config)
	expect := func(want ...Usage) {
		t.Helper()
		if got, err := m.Usage(t.Context()); err != nil || !slices.Equal(got, want) {
			t.Errorf("usage %+v, %v, want %+v", got, err, want)
		}
	}
	expect() // without a configuration

	writeFiles(t, config.ConfDir, map[string]string{"10.conflist": withLeases("old", "ipam", dir)})
	expect(Usage{Network: "old"})
	add(t, m, "pod-1")
	m = newManager(t, config) // reads the record of it
	lease(t, dir, "old", "10.22.0.5", "fd00::5", "10.22.0.9", "last_reserved_ip.0", "lock")
	expect(Usage{Network: "old", Leases: 3, Addresses: 2})

	writeFiles(t, config.ConfDir, map[string]string{"10.conflist": withLeases("new", "elsewhere", dir)})
	expect(Usage{Network: "new", Leases: -1}, Usage{Network: "old", Leases: 3, Addresses: 2})
	if want := []string{"ADD one <nil>"}; !slices.Equal(runs, want) {
		t.Errorf("plugin runs observed %q, want %q", runs, want)
	}
}

// add runs ADD as SetUpPod does, without a namespace.
func add(t *testing.T, m *Manager, id string) {
	t.Helper()
	network, err := m.Network()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.cni.AddNetworkList(t.Context(), network.list, Attachment{}.runtimeConf(id, "/proc/self/ns/net")); err != nil {
		t.Fatal(err)
	}
}

// lease makes files as an address plugin does.
func lease(t *testing.T, dir, network string, names ...string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(dir, network), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(dir, network, name), []byte("pod-1\neth0"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
