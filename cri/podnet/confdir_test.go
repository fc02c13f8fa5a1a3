package podnet

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

const goodList = `{"cniVersion": "1.0.0", "name": "good", "plugins": [{"type": "a"}, {"type": "b", "capabilities": {"dns": true}}]}`

func writeFiles(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestChooseTheFirstValidFile(t *testing.T) {
	other := strings.Replace(goodList, "good", "other", 1)
	for name, c := range map[string]struct {
		files   map[string]string
		network string // "" is none
		plugins []string
		broken  []string // in the order of their names
		says    string   // in the error
	}{
		"an empty directory":     {says: "no *.conflist"},
		"one list":               {files: map[string]string{"10-a.conflist": goodList}, network: "good", plugins: []string{"a", "b"}},
		"lexical order":          {files: map[string]string{"20.conflist": other, "10.conflist": goodList}, network: "good"},
		"order goes by the name": {files: map[string]string{"10.conflist": other, "05.json": `{"name": "single", "type": "x"}`}, network: "single", plugins: []string{"x"}},
		"a single plugin":        {files: map[string]string{"10.conf": `{"cniVersion": "0.4.0", "name": "single", "type": "x"}`}, network: "single", plugins: []string{"x"}},
		"a list in a .conf":      {files: map[string]string{"10.conf": goodList}, network: "good"},
		"other files": {files: map[string]string{"10.conflist.tmp": "{", "README": "x", "20.yaml": "{", "30.conflist": goodList},
			network: "good"},
		"a broken file does not hide a good one": {files: map[string]string{"10.conflist": "{", "20.conflist": goodList}, network: "good", broken: []string{"10.conflist"}},
		"only broken files":                      {files: map[string]string{"10.conflist": "{", "20.conflist": "[]"}, broken: []string{"10.conflist", "20.conflist"}, says: "20.conflist"},
		"no name":                                {files: map[string]string{"10.conflist": `{"plugins": [{"type": "a"}]}`}, broken: []string{"10.conflist"}, says: "name"},
		"a path as name":                         {files: map[string]string{"10.conflist": `{"name": "../x", "plugins": [{"type": "a"}]}`}, broken: []string{"10.conflist"}, says: "../x"},
		"no plugins":                             {files: map[string]string{"10.conflist": `{"name": "x"}`}, broken: []string{"10.conflist"}, says: "plugins"},
		"an empty list of plugins":               {files: map[string]string{"10.conflist": `{"name": "x", "plugins": []}`}, broken: []string{"10.conflist"}, says: "plugins"},
		"a plugin without type":                  {files: map[string]string{"10.conflist": `{"name": "x", "plugins": [{}]}`}, broken: []string{"10.conflist"}, says: "type"},
		"a path as type":                         {files: map[string]string{"10.conflist": `{"name": "x", "plugins": [{"type": "../sh"}]}`}, broken: []string{"10.conflist"}, says: "../sh"},
		"a version from the future":              {files: map[string]string{"10.conflist": `{"name": "x", "cniVersion": "9.0.0", "plugins": [{"type": "a"}]}`}, broken: []string{"10.conflist"}, says: "9.0.0"},
		"a version that is none":                 {files: map[string]string{"10.conflist": `{"name": "x", "cniVersion": "new", "plugins": [{"type": "a"}]}`}, broken: []string{"10.conflist"}, says: "new"},
		"too large":                              {files: map[string]string{"10.conflist": goodList + strings.Repeat(" ", maxConfigSize)}, broken: []string{"10.conflist"}, says: "bytes"},
		"the network's own directory": {files: map[string]string{"10.conflist": `{"cniVersion": "1.1.0", "name": "dir", "plugins": [{"type": "a"}]}`, "dir/50-b.conf": `{"type": "b"}`},
			network: "dir", plugins: []string{"a", "b"}},
		"but only inlined ones are wanted": {files: map[string]string{"10.conflist": `{"name": "dir", "loadOnlyInlinedPlugins": true, "plugins": [{"type": "a"}]}`, "dir/50-b.conf": `{"type": "b"}`},
			network: "dir", plugins: []string{"a"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			writeFiles(t, dir, c.files)
			network, broken, err := Choose(dir, "", TemplateData{})
			if network.Name != c.network || (err == nil) != (c.network != "") {
				t.Errorf("network %q, error %v, want %q", network.Name, err, c.network)
			}
			if err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %q does not say %q", err, c.says)
			}
			if c.plugins != nil && !slices.Equal(network.Plugins(), c.plugins) {
				t.Errorf("plugins %v, want %v", network.Plugins(), c.plugins)
			}
			var names []string
			for _, b := range broken {
				names = append(names, filepath.Base(b.Path))
			}
			if !slices.Equal(names, c.broken) {
				t.Errorf("broken %v, want %v", names, c.broken)
			}
		})
	}
}

// A FIFO with a network's name would block whoever opens it.
func TestChooseDoesNotBlock(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "10.conflist"), 0o600); err != nil {
		t.Fatal(err)
	}
	writeFiles(t, dir, map[string]string{"20.conflist": goodList})
	if network, _, err := Choose(dir, "", TemplateData{}); err != nil || network.Name != "good" {
		t.Errorf("network %q, %v", network.Name, err)
	}
}

// The built-in network is for an empty directory, not for a broken one: its
// pods would be on a network that nobody asked for.
func TestChooseTheTemplate(t *testing.T) {
	dir := t.TempDir()
	for _, missing := range []string{dir, filepath.Join(dir, "missing")} {
		if network, _, err := Choose(missing, BuiltinTemplate, TemplateData{}); err != nil || network.Name != BuiltinNetwork {
			t.Errorf("%s: network %q, %v", missing, network.Name, err)
		}
		if _, _, err := Choose(missing, "", TemplateData{}); !errors.Is(err, ErrNoConfig) {
			t.Errorf("%s without a template: %v, want ErrNoConfig", missing, err)
		}
	}
	writeFiles(t, dir, map[string]string{"10.conflist": "{"})
	if network, _, err := Choose(dir, BuiltinTemplate, TemplateData{}); err == nil {
		t.Errorf("a broken configuration was replaced by %s", network.Name)
	}
}

// A network can be read again from what is kept of it, whatever became of the
// files.
func TestNetworkIsSelfContained(t *testing.T) {
	dir := t.TempDir()
	writeFiles(t, dir, map[string]string{
		"10.conflist":   `{"cniVersion": "0.4.0", "cniVersions": ["1.0.0", "7.0.0"], "name": "dir", "disableCheck": "true", "plugins": [{"type": "a", "own": {"x": 1}}]}`,
		"dir/50-b.conf": `{"type": "b"}`,
	})
	first, _, err := Choose(dir, "", TemplateData{})
	if err != nil {
		t.Fatal(err)
	}
	second, err := parseNetwork(first.Conflist, "kept", "")
	if err != nil {
		t.Fatal(err)
	}
	if string(second.Conflist) != string(first.Conflist) || !slices.Equal(second.Plugins(), []string{"a", "b"}) {
		t.Errorf("read again: %s, was %s", second.Conflist, first.Conflist)
	}
	if second.list.CNIVersion != "1.0.0" || !second.list.DisableCheck || !strings.Contains(string(second.Conflist), `"own":{"x":1}`) {
		t.Errorf("read again: %+v", second.list)
	}
}

// Whatever a configuration file holds, reading it neither panics nor gives a
// network that cannot be read again.
func FuzzParseNetwork(f *testing.F) {
	for _, seed := range []string{goodList, `{"name":"a","type":"b"}`, `{"name":"a","plugins":[{"type":"b","capabilities":{"ips":true}}]}`,
		`{"name":"a","cniVersions":["1.1.0","x"],"plugins":[{"type":"b"}]}`, `[]`, `{"name":1}`, `{"plugins":null,"type":"a","name":"n"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		network, err := parseNetwork(content, "fuzz", "")
		if err != nil {
			return
		}
		again, err := parseNetwork(network.Conflist, "again", "")
		if err != nil || again.Name != network.Name || !slices.Equal(again.Plugins(), network.Plugins()) {
			t.Errorf("%s became %s: %v", content, network.Conflist, err)
		}
	})
}
