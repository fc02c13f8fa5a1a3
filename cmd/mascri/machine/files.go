package machine

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// unit is the daemon's systemd unit; @BINDIR@ stands for where the program is.
//
//go:embed mascri.service
var unit []byte

// Places says where things go, as the Makefile's variables of the same names do.
type Places struct {
	DESTDIR    string // prepended to all others, for packagers
	PREFIX     string // the daemon goes to PREFIX/bin
	CNIBinDir  string // CNI_BIN_DIR: where runtimes look for plugins
	CNIConfDir string // CNI_CONF_DIR: where runtimes look for a network
}

// DefaultPlaces are the ones that every runtime looks at.
var DefaultPlaces = Places{PREFIX: "/usr/local", CNIBinDir: "/opt/cni/bin", CNIConfDir: "/etc/cni/net.d"}

// Plugins maps the plugins, as they are built, to the names they are installed
// under.
var Plugins = map[string]string{"netplug": "netplug", "ipam": "ipam"}

// PluginRecord is where the record of installed plugins lies: beside them, so
// that whoever could install them can also take them back.
func (p Places) PluginRecord() string { return filepath.Join(p.CNIBinDir, ".mascri-installed.json") }

// DaemonRecord is where the record of the installed daemon lies.
func (p Places) DaemonRecord() string {
	return filepath.Join(p.PREFIX, "share/mascri/installed.json")
}

// PluginFiles reads the named plugins out of the build directory. The names map
// what is built to what it is installed as: {"netplug": "netplug"}. Where
// CNIConfDir holds no configuration, conf becomes the first one there.
func (p Places) PluginFiles(build string, names map[string]string, conf []byte) (files []File, err error) {
	for _, built := range slices.Sorted(maps.Keys(names)) {
		content, err := os.ReadFile(filepath.Join(build, built))
		if err != nil {
			return nil, fmt.Errorf("%w: make build makes it", err)
		}
		files = append(files, File{Path: filepath.Join(p.CNIBinDir, names[built]), Mode: 0o755, Content: content})
	}
	const own = "10-mascri.conflist"
	others, err := os.ReadDir(filepath.Join(p.DESTDIR, p.CNIConfDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, other := range others {
		switch filepath.Ext(other.Name()) {
		case ".conf", ".conflist", ".json":
			if other.Name() != own {
				return files, nil // this node has a network; a second would only confuse
			}
		}
	}
	return append(files, File{Path: filepath.Join(p.CNIConfDir, own), Mode: 0o644, Content: conf}), nil
}

// DaemonFiles reads the daemon out of the build directory and writes its unit.
func (p Places) DaemonFiles(build string) ([]File, error) {
	daemon, err := os.ReadFile(filepath.Join(build, "mascri"))
	if err != nil {
		return nil, fmt.Errorf("%w: make build makes it", err)
	}
	bin := filepath.Join(p.PREFIX, "bin")
	return []File{
		{Path: filepath.Join(bin, "mascri"), Mode: 0o755, Content: daemon},
		// Not /etc, which is the administrator's, nor /usr/lib, which is the distribution's.
		{Path: "/usr/local/lib/systemd/system/mascri.service", Mode: 0o644, Content: bytes.ReplaceAll(unit, []byte("@BINDIR@"), []byte(bin))},
	}, nil
}
