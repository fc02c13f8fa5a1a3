package netplug

import (
	"os"
	"path/filepath"
	"testing"
)

// TestLacksVLANs: only a bridge that does not say whether it filters VLANs shows
// that the kernel cannot.
func TestLacksVLANs(t *testing.T) {
	for name, test := range map[string]struct {
		paths []string
		want  bool
	}{
		"no sysfs":       {nil, false},
		"no bridge":      {[]string{"lo/mtu"}, false},
		"it filters":     {[]string{"lo/mtu", "br0/bridge/vlan_filtering"}, false},
		"it cannot":      {[]string{"lo/mtu", "br0/bridge/stp_state"}, true},
		"port of bridge": {[]string{"veth0/brport/state"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			links := t.TempDir()
			for _, path := range test.paths {
				path = filepath.Join(links, path)
				if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if got := lacksVLANs(links); got != test.want {
				t.Errorf("it lacks VLANs: %t, expected %t", got, test.want)
			}
		})
	}
}
