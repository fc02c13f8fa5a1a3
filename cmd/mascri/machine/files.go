package machine

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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

// A Plugin is a program as it is built, and the name it is installed under.
type Plugin struct{ Built, Installed string }

var (
	// Plugins are what a network of ours needs.
	Plugins = []Plugin{{"netplug", "netplug"}, {"ipam", "ipam"}}
	// DropIns take the places of the reference plugins, for runtimes whose
	// configuration names those.
	DropIns = []Plugin{{"netplug", "bridge"}, {"ipam", "host-local"}, {"portmap", "portmap"}, {"loopback", "loopback"}}
)

// PluginRecord is where the record of installed plugins lies: beside them, so
// that whoever could install them can also take them back.
func (p Places) PluginRecord() string { return filepath.Join(p.CNIBinDir, ".mascri-installed.json") }

// DaemonRecord is where the record of the installed daemon lies.
func (p Places) DaemonRecord() string {
	return filepath.Join(p.PREFIX, "share/mascri/installed.json")
}

// PluginFiles reads plugins out of the build directory. Where CNIConfDir holds
// no configuration, conf becomes the first one there.
func (p Places) PluginFiles(build string, plugins []Plugin, conf []byte) (files []File, err error) {
	for _, plugin := range plugins {
		content, err := os.ReadFile(filepath.Join(build, plugin.Built))
		if err != nil {
			return nil, fmt.Errorf("%w: make build makes it", err)
		}
		files = append(files, File{Path: filepath.Join(p.CNIBinDir, plugin.Installed), Mode: 0o755, Content: content})
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
	return append(files, File{Path: filepath.Join(p.CNIConfDir, own), Mode: 0o644, Content: conf, Config: true}), nil
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
