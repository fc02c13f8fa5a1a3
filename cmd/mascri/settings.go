package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/mascri/mascri/cri/podnet"
)

// envPrefix begins the names of the environment variables that set what a flag
// sets: --state-dir is MASCRI_STATE_DIR.
const envPrefix = "MASCRI_"

// The network modes.
const (
	networkCNI    = "cni"
	networkDocker = "docker"
	networkDryRun = "dry-run"
)

// settings are what the daemon can be told: by flags, by environment variables
// and by a file, in this order of precedence.
type settings struct {
	configFile string

	listen     string
	dockerHost string
	runDir     string
	stateDir   string

	network       string
	dockerNetwork string
	confDir       string
	binDirs       list
	ownNetworks   list
	builtin       string
	template      string
	execTimeout   time.Duration

	logLevel  string
	logFormat string
}

// list is a flag whose value is several words, separated by commas.
type list []string

func (l *list) String() string { return strings.Join(*l, ",") }

// Set replaces the whole list: a flag given twice is not two lists.
func (l *list) Set(text string) error {
	*l = nil
	for word := range strings.SplitSeq(text, ",") {
		if word = strings.TrimSpace(word); word != "" {
			*l = append(*l, word)
		}
	}
	return nil
}

const serveUsage = `Usage: mascri serve [FLAG...]

Runs the CRI runtime: answers the kubelet's or crictl's calls on a unix socket,
runs the pods' containers on a Docker engine, and puts the pods on a network with
CNI plugins.

  crictl --runtime-endpoint unix:///run/mascri/mascri.sock runp pod.json

Each flag can also be set by an environment variable (--state-dir by
MASCRI_STATE_DIR) and in the file that --config names (YAML, state-dir: PATH).
A flag wins over the environment, the environment over the file.

`

// flags declares the daemon's flags. Their defaults are the defaults.
func (s *settings) flags(out io.Writer) *flag.FlagSet {
	f := flag.NewFlagSet("serve", flag.ContinueOnError)
	f.SetOutput(out)
	f.Usage = func() {
		fmt.Fprint(out, serveUsage)
		f.PrintDefaults()
	}
	s.binDirs, s.ownNetworks = list{"/opt/cni/bin"}, list{podnet.BuiltinNetwork}
	f.StringVar(&s.configFile, "config", "", "read settings from this YAML `file`")

	f.StringVar(&s.listen, "listen", "unix:///run/mascri/mascri.sock", "`socket` to answer CRI calls on; only this user can open it")
	f.StringVar(&s.dockerHost, "docker-host", "", "the Docker `engine`, such as unix:///var/run/docker.sock (default: DOCKER_HOST, then that)")
	f.StringVar(&s.runDir, "run-dir", "/run/mascri", "`directory` for pinned network namespaces; may vanish with a reboot")
	f.StringVar(&s.stateDir, "state-dir", "/var/lib/mascri", "`directory` for what has to survive a reboot")

	f.StringVar(&s.network, "network", networkCNI, "how pods are connected, one `mode` of:\n"+
		"cni      with CNI plugins; needs the engine's network namespaces (Linux)\n"+
		"docker   with \"docker network connect\": where CNI plugins cannot reach the pods\n"+
		"dry-run  not at all: print what would be done, and do nothing")
	f.StringVar(&s.dockerNetwork, "docker-network", "bridge", "the `network` of the mode docker")
	f.StringVar(&s.confDir, "cni-conf-dir", "/etc/cni/net.d", "`directory` of CNI configurations; the first valid *.conflist, *.conf or *.json\nin lexical order is used; read when needed, so changes hold at once")
	f.Var(&s.binDirs, "cni-bin-dir", "`directories` to look for CNI plugins in, separated by commas")
	f.Var(&s.ownNetworks, "own-network", "`names` of CNI networks that only this daemon uses: what no pod owns there is freed at start")
	f.StringVar(&s.builtin, "builtin-network", "on", "`on`: use the built-in network where the CNI configuration directory has none;\noff: wait for a configuration, as a cluster's network add-on installs it")
	f.StringVar(&s.template, "cni-template", "", "a `file` to use in place of the built-in network: a CNI configuration list\nas Go template, with .PodCIDRs")
	f.DurationVar(&s.execTimeout, "cni-timeout", time.Minute, "how long one run of a CNI plugin may take")

	f.StringVar(&s.logLevel, "log-level", "info", "the least `level` to log: debug, info, warn or error")
	f.StringVar(&s.logFormat, "log-format", "text", "`form` of the log on stderr: text or json")
	return f
}

// readSettings reads flags, environment and file, and checks the outcome.
func readSettings(args, environ []string, out io.Writer) (settings, error) {
	var s settings
	f := s.flags(out)
	if err := f.Parse(args); err != nil {
		return s, err
	}
	if f.NArg() > 0 {
		return s, fmt.Errorf("unexpected argument %q: serve takes flags only, see --help", f.Arg(0))
	}
	given := map[string]bool{}
	f.Visit(func(one *flag.Flag) { given[one.Name] = true })
	if err := setFromEnvironment(f, environ, given); err != nil {
		return s, err
	}
	if err := setFromFile(f, s.configFile, given); err != nil {
		return s, err
	}
	return s, s.check()
}

// setFromEnvironment sets the flags that were not given from variables.
func setFromEnvironment(f *flag.FlagSet, environ []string, given map[string]bool) error {
	var errs []error
	f.VisitAll(func(one *flag.Flag) {
		variable := envPrefix + strings.ToUpper(strings.ReplaceAll(one.Name, "-", "_"))
		for _, pair := range environ {
			name, value, _ := strings.Cut(pair, "=")
			if name != variable || given[one.Name] {
				continue
			}
			given[one.Name] = true
			if err := f.Set(one.Name, value); err != nil {
				errs = append(errs, fmt.Errorf("%s=%s: %w", variable, value, err))
			}
		}
	})
	return errors.Join(errs...)
}

// setFromFile sets what is left from the YAML file: its keys are the flags'
// names.
func setFromFile(f *flag.FlagSet, file string, given map[string]bool) error {
	if file == "" {
		return nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read settings: %w", err)
	}
	var values map[string]any
	if err := yaml.Unmarshal(text, &values); err != nil {
		return fmt.Errorf("read settings: %s: %w", file, err)
	}
	var errs []error
	for name, value := range values {
		switch {
		case f.Lookup(name) == nil || name == "config":
			errs = append(errs, fmt.Errorf("%s: there is no setting %q", file, name))
		case !given[name]:
			if err := f.Set(name, word(value)); err != nil {
				errs = append(errs, fmt.Errorf("%s: %s: %w", file, name, err))
			}
		}
	}
	return errors.Join(errs...)
}

// word is a YAML value as a flag takes it; YAML's on and off are booleans.
func word(value any) string {
	switch v := value.(type) {
	case []any:
		var words []string
		for _, one := range v {
			words = append(words, word(one))
		}
		return strings.Join(words, ",")
	case bool:
		if v {
			return "on"
		}
		return "off"
	case nil:
		return ""
	}
	return fmt.Sprint(value)
}

// check refuses settings that cannot work, all at once.
func (s settings) check() error {
	var errs []error
	complain := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	oneOf := func(name, value string, allowed ...string) {
		if !slices.Contains(allowed, value) {
			complain("--%s %q: expected %s", name, value, strings.Join(allowed, ", "))
		}
	}
	oneOf("network", s.network, networkCNI, networkDocker, networkDryRun)
	oneOf("builtin-network", s.builtin, "on", "off")
	oneOf("log-level", s.logLevel, "debug", "info", "warn", "error")
	oneOf("log-format", s.logFormat, "text", "json")
	if path, err := s.socket(); err != nil {
		complain("--listen %q: %w", s.listen, err)
	} else if len(path) > maxSocketPath {
		complain("--listen %q: the path is %d bytes long, the kernel allows %d", s.listen, len(path), maxSocketPath)
	}
	for _, dir := range []struct{ name, path string }{
		{"run-dir", s.runDir}, {"state-dir", s.stateDir}, {"cni-conf-dir", s.confDir},
	} {
		if !filepath.IsAbs(dir.path) {
			complain("--%s %q: expected an absolute path", dir.name, dir.path)
		}
	}
	for _, dir := range s.binDirs {
		if !filepath.IsAbs(dir) || strings.ContainsRune(dir, filepath.ListSeparator) {
			complain("--cni-bin-dir %q: expected absolute paths without %q", dir, filepath.ListSeparator)
		}
	}
	if len(s.binDirs) == 0 {
		complain("--cni-bin-dir: at least one directory is needed")
	}
	if s.execTimeout <= 0 {
		complain("--cni-timeout %s: expected a positive duration such as 30s", s.execTimeout)
	}
	return errors.Join(errs...)
}

// maxSocketPath is the room in sockaddr_un, see unix(7).
const maxSocketPath = 107

// socket is the path of the unix socket to listen on.
func (s settings) socket() (string, error) {
	u, err := url.Parse(s.listen)
	if err != nil {
		return "", err
	}
	if u.Scheme != "unix" || u.Host != "" || !filepath.IsAbs(u.Path) {
		return "", errors.New("expected unix:///ABSOLUTE/PATH")
	}
	return u.Path, nil
}
