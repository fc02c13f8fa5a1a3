package podnet

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// fakePlugin is a plugin in shell. It notes each run in a file of its own
// directory, then does what the test wants of the verb.
const fakePlugin = `#!/bin/sh
n=$(ls %[1]q | wc -l)
{ env | grep ^CNI_ | sort; cat; } > %[1]q/$(printf %%03d $n).$CNI_COMMAND
%[2]s
case $CNI_COMMAND in ADD)
	echo '{"cniVersion": "1.1.0", "interfaces": [{"name": "host0"}, {"name": "eth0", "sandbox": "/x"}],
		"ips": [{"address": "10.22.0.5/16", "interface": 1}, {"address": "192.0.2.1/24", "interface": 0}, {"address": "fd00::5/64", "interface": 1}],
		"dns": {"nameservers": ["10.0.0.53"], "domain": "example"}}'
esac
`

// A fake is an installed fakePlugin.
type fake struct {
	t    *testing.T
	file string
	log  string // directory with one file a run
}

// newFake installs a plugin in the configuration's first directory. behaviour
// is shell, run after the note was made.
func newFake(t *testing.T, config Config, name, behaviour string) *fake {
	t.Helper()
	f := &fake{t: t, file: filepath.Join(config.BinDirs[0], name), log: t.TempDir()}
	f.behave(behaviour)
	return f
}

// behave changes the plugin.
func (f *fake) behave(behaviour string) {
	f.t.Helper()
	if err := os.WriteFile(f.file, fmt.Appendf(nil, fakePlugin, f.log, behaviour), 0o755); err != nil {
		f.t.Fatal(err)
	}
}

// runs lists the verbs that the plugin was run with, in order.
func (f *fake) runs() (verbs []string) {
	f.t.Helper()
	entries, err := os.ReadDir(f.log)
	if err != nil {
		f.t.Fatal(err)
	}
	for _, entry := range entries {
		verbs = append(verbs, strings.TrimPrefix(filepath.Ext(entry.Name()), "."))
	}
	return verbs
}

// assertRuns compares the verbs since the last call.
func (f *fake) assertRuns(want ...string) {
	f.t.Helper()
	if got := f.runs(); !slices.Equal(got, want) {
		f.t.Errorf("%s was run with %v, want %v", filepath.Base(f.file), got, want)
	}
}

// note is what the plugin got in its nth run: the environment, then stdin.
func (f *fake) note(n int) string {
	f.t.Helper()
	text, err := os.ReadFile(filepath.Join(f.log, fmt.Sprintf("%03d.%s", n, f.runs()[n])))
	if err != nil {
		f.t.Fatal(err)
	}
	return string(text)
}

// testConfig is a manager's configuration with directories of the test's own.
func testConfig(t *testing.T) Config {
	t.Helper()
	dir := t.TempDir()
	config := Config{
		ConfDir:  filepath.Join(dir, "net.d"),
		BinDirs:  []string{filepath.Join(dir, "bin")},
		RunDir:   filepath.Join(dir, "run"),
		StateDir: filepath.Join(dir, "state"),
	}
	for _, d := range []string{config.ConfDir, config.BinDirs[0]} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return config
}

func newManager(t *testing.T, config Config) *Manager {
	t.Helper()
	m, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// fakeConflist is a network of the given plugins.
func fakeConflist(name string, plugins ...string) string {
	var list []string
	for _, plugin := range plugins {
		list = append(list, fmt.Sprintf(`{"type": %q, "capabilities": {"portMappings": true}}`, plugin))
	}
	return fmt.Sprintf(`{"cniVersion": "1.1.0", "name": %q, "plugins": [%s]}`, name, strings.Join(list, ","))
}
