package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/mascri/mascri/cmd/mascri/machine"
	"github.com/mascri/mascri/cri/podnet"
)

const installUsage = `Usage: mascri %s [FLAG...]

install puts the plugins, a network where there is none, the daemon and its
systemd unit in their places, and keeps what stood there; uninstall takes back
exactly that, and leaves what somebody changed since.

`

// An installation is what the subcommands install and uninstall agree on.
type installation struct {
	places      machine.Places
	pluginsOnly bool
	dropIn      bool
	build       string // where the programs to install are: beside this one
	log         io.Writer
}

// parseInstallation reads the flags that both subcommands share.
func parseInstallation(verb string, args []string, log io.Writer) (installation, error) {
	self, err := os.Executable()
	if err != nil {
		return installation{}, err
	}
	i := installation{places: machine.DefaultPlaces, build: filepath.Dir(self), log: log}
	flags := flag.NewFlagSet(verb, flag.ContinueOnError)
	flags.SetOutput(log)
	flags.Usage = func() { fmt.Fprintf(log, installUsage, verb); flags.PrintDefaults() }
	flags.BoolVar(&i.pluginsOnly, "plugins-only", false, "the plugins and the network, without the daemon")
	flags.BoolVar(&i.dropIn, "drop-in", false, "also under the names of the reference plugins; what is there is kept, and restored by uninstall")
	flags.StringVar(&i.places.DESTDIR, "destdir", "", "put everything below this directory (for packagers)")
	flags.StringVar(&i.places.PREFIX, "prefix", i.places.PREFIX, "the daemon goes to `PREFIX`/bin")
	flags.StringVar(&i.places.CNIBinDir, "cni-bin-dir", i.places.CNIBinDir, "where runtimes look for plugins")
	flags.StringVar(&i.places.CNIConfDir, "cni-conf-dir", i.places.CNIConfDir, "where runtimes look for a network")
	return i, parseFlags(flags, args)
}

func (i installation) tree(record string) machine.Tree {
	return machine.Tree{Root: i.places.DESTDIR, Record: record, Log: i.log}
}

// install is the subcommand: the plugins, the default network where there is
// none, the daemon and its systemd unit.
func install(_ context.Context, args []string, log io.Writer) error {
	i, err := parseInstallation("install", args, log)
	if err != nil {
		return err
	}
	network, err := podnet.DefaultConflist(nil)
	if err != nil {
		return err
	}
	names := machine.Plugins
	if i.dropIn {
		names = slices.Concat(names, machine.DropIns)
	}
	plugins, err := i.places.PluginFiles(i.build, names, network)
	if err != nil {
		return err
	}
	if err := i.tree(i.places.PluginRecord()).Install(plugins...); err != nil || i.pluginsOnly {
		return err
	}
	daemon, err := i.places.DaemonFiles(i.build)
	if err != nil {
		return err
	}
	return i.tree(i.places.DaemonRecord()).Install(daemon...)
}

// uninstall is the subcommand that takes back what install put there.
func uninstall(_ context.Context, args []string, log io.Writer) error {
	i, err := parseInstallation("uninstall", args, log)
	if err != nil {
		return err
	}
	if err := i.tree(i.places.PluginRecord()).Uninstall(); err != nil || i.pluginsOnly {
		return err
	}
	return i.tree(i.places.DaemonRecord()).Uninstall()
}
