package main

import (
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A flag wins over the environment, the environment over the file, the file over
// the default.
func TestSettingsPrecedence(t *testing.T) {
	file := filepath.Join(t.TempDir(), "mascri.yaml")
	yaml := "run-dir: /from/file\nstate-dir: /from/file\ncni-conf-dir: /from/file\ncni-bin-dir: [/a, /b]\ncni-timeout: 30s\nbuiltin-network: off\n" +
		"max-starts: 16\nmonitor-address: 127.0.0.1:9465\npprof: on\nstream-address: 0.0.0.0:10350\nstream-cert: /c\nstream-key: /k\n"
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := readSettings([]string{"--config", file, "--run-dir", "/from/flag"},
		[]string{"MASCRI_STATE_DIR=/from/env", "MASCRI_RUN_DIR=/from/env", "MASCRI_TRACE=1", "OTHER=x"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if s.runDir != "/from/flag" || s.stateDir != "/from/env" || s.confDir != "/from/file" || s.network != networkCNI {
		t.Errorf("settings %+v", s)
	}
	if s.maxStarts != 16 || s.monitorAddress != "127.0.0.1:9465" || s.profiles != "on" || s.stream.KeyFile != "/k" {
		t.Errorf("settings %+v", s)
	}
	if s.binDirs.String() != "/a,/b" || s.execTimeout != 30*time.Second || s.builtin != "off" {
		t.Errorf("settings %+v", s)
	}
}

func TestSettingsThatCannotWork(t *testing.T) {
	file, twice := filepath.Join(t.TempDir(), "mascri.yaml"), filepath.Join(t.TempDir(), "twice.yaml")
	for name, text := range map[string]string{file: "stat-dir: /x\n", twice: "run-dir: /x\nrun-dir: /y\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		args, environ []string
		says          string
	}{
		"unknown mode":             {args: []string{"--network", "bridge"}, says: "cni, docker, dry-run"},
		"relative directory":       {args: []string{"--state-dir", "state"}, says: "--state-dir"},
		"a socket that is no path": {args: []string{"--listen", "tcp://127.0.0.1:1"}, says: "unix:///"},
		"a socket's long path":     {args: []string{"--listen", "unix:///" + strings.Repeat("x", 200)}, says: "107"},
		"no plugin directory":      {args: []string{"--cni-bin-dir", ","}, says: "--cni-bin-dir"},
		"no time":                  {args: []string{"--cni-timeout", "0s"}, says: "--cni-timeout"},
		"an argument":              {args: []string{"now"}, says: "now"},
		"an unknown key":           {args: []string{"--config", file}, says: "stat-dir"},
		"a missing file":           {args: []string{"--config", file + "x"}, says: "read settings"},
		"an unknown variable":      {environ: []string{"MASCRI_STATEDIR=/x"}, says: "MASCRI_STATEDIR"},
		"a broken variable":        {environ: []string{"MASCRI_CNI_TIMEOUT=soon"}, says: "MASCRI_CNI_TIMEOUT"},
		"a key twice":              {args: []string{"--config", twice}, says: "already set"},
		"no starts":                {args: []string{"--max-starts", "0"}, says: "--max-starts"},
		"no network to join":       {args: []string{"--docker-network", "host"}, says: "docker network ls"},
		"streams for all to read":  {args: []string{"--stream-address", "0.0.0.0:10350"}, says: "--stream-cert"},
		"streams at a name":        {args: []string{"--stream-address", "localhost:0"}, says: "127.0.0.1:0"},
		"a key without its lock":   {args: []string{"--stream-key", "/k"}, says: "both"},
		"a URL that is none":       {args: []string{"--stream-url", "node:10350"}, says: "--stream-url"},
		"metrics for all to read":  {args: []string{"--monitor-address", ":9465"}, says: "--monitor-address"},
		"metrics for the network":  {environ: []string{"MASCRI_MONITOR_ADDRESS=192.0.2.1:9465"}, says: "proxy"},
		"profiles nowhere":         {args: []string{"--pprof", "on"}, says: "--monitor-address"},
		"profiles, perhaps":        {args: []string{"--pprof", "maybe"}, says: "on, off"},
	} {
		_, err := readSettings(c.args, c.environ, io.Discard)
		var misused misuse
		if !errors.As(err, &misused) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want a misuse that says %q", name, err, c.says)
		}
	}
}

// The help has each flag once, below its subject, and the reference has each one.
func TestHelpNamesEachFlag(t *testing.T) {
	var help strings.Builder
	if _, err := readSettings([]string{"--help"}, nil, &help); !errors.Is(err, flag.ErrHelp) {
		t.Fatalf("--help ends with %v", err)
	}
	reference, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	var s settings
	s.flags(io.Discard).VisitAll(func(one *flag.Flag) {
		if n := strings.Count(help.String(), "\n  --"+one.Name+" "); n != 1 {
			t.Errorf("the help lists --%s %d times", one.Name, n)
		}
		if !strings.Contains(string(reference), "`--"+one.Name+"`") {
			t.Errorf("docs/configuration.md lacks --%s", one.Name)
		}
	})
	for _, word := range []string{"MASCRI_STATE_DIR", "dry-run", "The pods' network:", "(default 127.0.0.1:0)"} {
		if !strings.Contains(help.String(), word) {
			t.Errorf("the help does not speak of %s", word)
		}
	}
}

func TestServeOnAMac(t *testing.T) {
	err := possible(networkCNI, "darwin")
	for _, word := range []string{"network namespace", "virtual machine", "make run-in-docker", "--network=docker", "--network=dry-run"} {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%v does not speak of %s", err, word)
		}
	}
	for network, system := range map[string]string{networkDocker: "darwin", networkDryRun: "darwin", networkCNI: "linux"} {
		if err := possible(network, system); err != nil {
			t.Errorf("%s on %s: %v", network, system, err)
		}
	}
}

// FuzzSettings: a file of settings is taken whole or refused by its name.
func FuzzSettings(f *testing.F) {
	for _, seed := range []string{
		"state-dir: /x\ncni-bin-dir: [/a, /b]\nbuiltin-network: off\ncni-timeout: 30s\n", "network: docker\nlog-level: debug\n",
		"config: /other\n", "listen: [", "- a\n", "a: &a [*a]\n", "cni-timeout: 1e9\n", "{}", "state-dir: null\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		file := filepath.Join(t.TempDir(), "mascri.yaml")
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := readSettings([]string{"--config", file}, nil, io.Discard)
		if err != nil {
			return
		}
		if !filepath.IsAbs(s.stateDir) || !filepath.IsAbs(s.runDir) || s.execTimeout <= 0 || len(s.binDirs) == 0 {
			t.Errorf("settings %+v", s)
		}
	})
}
