package main

import (
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/mascri/mascri/cri/docker"
	"github.com/mascri/mascri/cri/podnet"
	"github.com/mascri/mascri/cri/stream"
)

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
	subjects   []subject // the flags as --help prints them

	listen   string
	runDir   string
	stateDir string

	dockerHost string
	maxStarts  int

	network       string
	dockerNetwork string
	confDir       string
	binDirs       list
	ownNetworks   list
	builtin       string
	template      string
	execTimeout   time.Duration

	stream stream.Config

	monitorAddress string
	profiles       string

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
	s.subjects = subjectsOf(f, []func(*flag.FlagSet) string{
		s.daemonFlags, s.engineFlags, s.networkFlags, s.streamFlags, s.watchFlags,
	})
	f.Usage = func() {
		fmt.Fprint(out, serveUsage)
		for _, subject := range s.subjects {
			subject.print(out)
		}
	}
	return f
}

func (s *settings) daemonFlags(f *flag.FlagSet) string {
	f.StringVar(&s.configFile, "config", "", "read settings from this YAML `file`")
	f.StringVar(&s.listen, "listen", "unix:///run/mascri/mascri.sock", "`socket` to answer CRI calls on; only this user can open it")
	f.StringVar(&s.runDir, "run-dir", "/run/mascri", "`directory` for pinned network namespaces; may vanish with a reboot")
	f.StringVar(&s.stateDir, "state-dir", "/var/lib/mascri", "`directory` for what has to survive a reboot")
	return "The daemon"
}

func (s *settings) engineFlags(f *flag.FlagSet) string {
	f.StringVar(&s.dockerHost, "docker-host", "", "the `engine`, such as unix:///var/run/docker.sock; without it DOCKER_HOST's,\nelse the local one")
	f.IntVar(&s.maxStarts, "max-starts", docker.DefaultStartLimit(), "`number` of containers that the engine may be creating or starting at once;\nothers wait their turn. By default twice the number of cores, at least 4")
	return "The Docker engine"
}

func (s *settings) networkFlags(f *flag.FlagSet) string {
	s.binDirs, s.ownNetworks = list{"/opt/cni/bin"}, list{podnet.BuiltinNetwork}
	f.StringVar(&s.network, "network", networkCNI, "how pods are connected, one `mode` of:\n"+
		"cni      with CNI plugins; needs the engine's network namespaces (Linux)\n"+
		"docker   with \"docker network connect\": where CNI plugins cannot reach the pods\n"+
		"dry-run  not at all: print what would be done, and do nothing")
	f.StringVar(&s.dockerNetwork, "docker-network", "bridge", "the `network` of the mode docker")
	f.StringVar(&s.confDir, "cni-conf-dir", "/etc/cni/net.d", "`directory` of CNI configurations; the first valid *.conflist, *.conf or *.json\nin lexical order is used; read when needed, so changes hold at once")
	f.Var(&s.binDirs, "cni-bin-dir", "`directories` to look for CNI plugins in, separated by commas")
	f.Var(&s.ownNetworks, "own-network", "`names` of CNI networks that only this daemon uses: what no pod owns there is\nfreed at start")
	f.StringVar(&s.builtin, "builtin-network", "on", "`on`: use the built-in network where the CNI configuration directory has none;\noff: wait for a configuration, as a cluster's network add-on installs it")
	f.StringVar(&s.template, "cni-template", "", "a `file` to use in place of the built-in network: a CNI configuration list\nas Go template, with .PodCIDRs")
	f.DurationVar(&s.execTimeout, "cni-timeout", time.Minute, "how long one run of a CNI plugin may take")
	return "The pods' network"
}

func (s *settings) streamFlags(f *flag.FlagSet) string {
	f.StringVar(&s.stream.Address, "stream-address", stream.DefaultAddress, "`address` of the server of exec, attach and port-forward sessions; port 0 takes\na free one. The kubelet proxies them, so loopback is enough for a node;\nanother address needs a certificate")
	f.StringVar(&s.stream.BaseURL, "stream-url", "", "the `URL` that clients are told, when they reach that server by another address")
	f.StringVar(&s.stream.CertFile, "stream-cert", "", "certificate `file` (PEM) that switches TLS on, 1.2 or newer; a renewed one holds\nat once")
	f.StringVar(&s.stream.KeyFile, "stream-key", "", "the certificate's private key, a `file` (PEM)")
	return "Exec, attach and port-forward"
}

func (s *settings) watchFlags(f *flag.FlagSet) string {
	f.StringVar(&s.monitorAddress, "monitor-address", "", "loopback `address` to serve /metrics, /healthz and /readyz on, such as\n127.0.0.1:9465; without one they are not served")
	f.StringVar(&s.profiles, "pprof", "off", "`on`: serve Go's profiles there too, below /debug/pprof/")
	f.StringVar(&s.logLevel, "log-level", "info", "the least `level` to log: debug, info, warn or error")
	f.StringVar(&s.logFormat, "log-format", "text", "`form` of the log on stderr: text or json")
	return "Watching it"
}

// readSettings reads flags, environment and file, and checks the outcome. Help
// goes to out.
func readSettings(args, environ []string, out io.Writer) (settings, error) {
	var s settings
	f := s.flags(out)
	if err := parseFlags(f, args); err != nil {
		return s, err
	}
	if f.NArg() > 0 {
		return s, misuse{fmt.Errorf("unexpected argument %q: serve takes flags only, see --help", f.Arg(0))}
	}
	given := map[string]bool{}
	f.Visit(func(one *flag.Flag) { given[one.Name] = true })
	if err := setFromEnvironment(f, environ, given); err != nil {
		return s, misuse{err}
	}
	if err := setFromFile(f, s.configFile, given); err != nil {
		return s, misuse{err}
	}
	if err := s.check(); err != nil {
		return s, misuse{err}
	}
	return s, nil
}
