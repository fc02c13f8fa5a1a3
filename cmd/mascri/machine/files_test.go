package machine

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// builtPlugins is a build directory with one plugin in it.
func builtPlugins(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "netplug"), []byte("program"), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestPluginFiles(t *testing.T) {
	cases := map[string]struct {
		configured string // a file in CNI_CONF_DIR
		want       string // the installed paths
	}{
		"no configuration directory":    {want: "/bin/netplug /conf/10-mascri.conflist"},
		"only what is no configuration": {configured: "README", want: "/bin/netplug /conf/10-mascri.conflist"},
		"our own from an earlier time":  {configured: "10-mascri.conflist", want: "/bin/netplug /conf/10-mascri.conflist"},
		"a network of somebody else":    {configured: "05-flannel.conflist", want: "/bin/netplug"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			places := Places{DESTDIR: t.TempDir(), CNIBinDir: "/bin", CNIConfDir: "/conf"}
			if c.configured != "" {
				put(t, Tree{Root: places.DESTDIR}, filepath.Join("/conf", c.configured), "{}")
			}
			files, err := places.PluginFiles(builtPlugins(t), []Plugin{{"netplug", "netplug"}}, []byte("{}"))
			if err != nil {
				t.Fatal(err)
			}
			var paths []string
			for _, f := range files {
				paths = append(paths, f.Path)
			}
			if got := strings.Join(paths, " "); got != c.want {
				t.Errorf("installs %s, want %s", got, c.want)
			}
		})
	}
}

func TestPluginFilesNamesWhatIsNotBuilt(t *testing.T) {
	_, err := DefaultPlaces.PluginFiles(t.TempDir(), []Plugin{{"netplug", "netplug"}}, nil)
	if err == nil || !strings.Contains(err.Error(), "netplug") || !strings.Contains(err.Error(), "make build") {
		t.Errorf("error %v names neither the program nor the remedy", err)
	}
}

func TestDaemonUnitStartsTheInstalledDaemon(t *testing.T) {
	build := t.TempDir()
	if err := os.WriteFile(filepath.Join(build, "mascri"), []byte("program"), 0o755); err != nil {
		t.Fatal(err)
	}
	files, err := Places{PREFIX: "/opt/mascri"}.DaemonFiles(build)
	if err != nil {
		t.Fatal(err)
	}
	if got := files[0].Path; got != "/opt/mascri/bin/mascri" {
		t.Errorf("the daemon goes to %s", got)
	}
	if !strings.Contains(string(files[1].Content), "ExecStart=/opt/mascri/bin/mascri serve") {
		t.Errorf("the unit starts another daemon:\n%s", files[1].Content)
	}
}
