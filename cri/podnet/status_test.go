//go:build linux

package podnet

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestStatusSaysWhyNot(t *testing.T) {
	config := testConfig(t)
	m := newManager(t, config)
	assert := func(title, says string) {
		t.Helper()
		err := m.Status(t.Context())
		if says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), says)) {
			t.Errorf("%s: %v, want %q", title, err, says)
		}
		if report := m.Describe(t.Context()); (report.Error == "") != (says == "") {
			t.Errorf("%s: described as %+v", title, report)
		}
	}
	assert("no configuration", config.ConfDir)
	writeFiles(t, config.ConfDir, map[string]string{"10.conflist": "{"})
	assert("a broken configuration", "10.conflist")
	writeFiles(t, config.ConfDir, map[string]string{"10.conflist": fakeConflist("one", "fake", "second")})
	newFake(t, config, "second", "")
	assert("a missing plugin", "plugin fake is not in")
	newFake(t, config, "fake", "")
	assert("all is there", "")
	writeFiles(t, config.ConfDir, map[string]string{"10.conflist": fakeConflist("two", "full")})
	newFake(t, config, "full", `[ $CNI_COMMAND = STATUS ] && { echo '{"code": 50, "msg": "no address is left"}'; exit 1; }`)
	assert("a plugin that cannot serve", "cannot serve a new pod: no address is left")
	if err := os.Remove(filepath.Join(config.ConfDir, "10.conflist")); err != nil {
		t.Fatal(err)
	}
	assert("the configuration was removed", config.ConfDir)
}

// Asking often costs one run of the plugin, also when many ask at once.
func TestStatusIsCached(t *testing.T) {
	config := testConfig(t)
	writeFiles(t, config.ConfDir, map[string]string{"10.conflist": fakeConflist("one", "fake")})
	plugin := newFake(t, config, "fake", "sleep 0.1")
	m := newManager(t, config)
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			if err := m.Status(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	plugin.assertRuns("STATUS")
}

// A plugin that does not answer delays no caller for long, and its answer is
// used when it comes.
func TestStatusThatIsSlow(t *testing.T) {
	config := testConfig(t)
	writeFiles(t, config.ConfDir, map[string]string{"10.conflist": fakeConflist("one", "fake")})
	newFake(t, config, "fake", "sleep 2.5")
	m := newManager(t, config)
	if err := m.Status(t.Context()); err == nil || !strings.Contains(err.Error(), "have not answered STATUS") {
		t.Errorf("the first answer: %v", err)
	}
	if err := m.Status(t.Context()); err != nil {
		t.Errorf("once the plugin has answered: %v", err)
	}
}
