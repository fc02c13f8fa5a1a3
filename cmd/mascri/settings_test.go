package main

import (
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
	yaml := "run-dir: /from/file\nstate-dir: /from/file\ncni-conf-dir: /from/file\ncni-bin-dir: [/a, /b]\ncni-timeout: 30s\nbuiltin-network: off\n"
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := readSettings([]string{"--config", file, "--run-dir", "/from/flag"},
		[]string{"MASCRI_STATE_DIR=/from/env", "MASCRI_RUN_DIR=/from/env", "OTHER=x"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if s.runDir != "/from/flag" || s.stateDir != "/from/env" || s.confDir != "/from/file" || s.network != networkCNI {
		t.Errorf("settings %+v", s)
	}
	if s.binDirs.String() != "/a,/b" || s.execTimeout != 30*time.Second || s.builtin != "off" {
		t.Errorf("settings %+v", s)
	}
}

func TestSettingsThatCannotWork(t *testing.T) {
	file := filepath.Join(t.TempDir(), "mascri.yaml")
	if err := os.WriteFile(file, []byte("stat-dir: /x\n"), 0o600); err != nil {
		t.Fatal(err)
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
		"a broken variable":        {environ: []string{"MASCRI_CNI_TIMEOUT=soon"}, says: "MASCRI_CNI_TIMEOUT"},
	} {
		if _, err := readSettings(c.args, c.environ, io.Discard); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want an error that says %q", name, err, c.says)
		}
	}
}

// Each flag can be set by the environment, so each says its name there only
// once: a name with an underscore would be two flags.
func TestHelpNamesEachFlag(t *testing.T) {
	var help strings.Builder
	if _, err := readSettings([]string{"--help"}, nil, &help); err == nil {
		t.Fatal("--help ends the program")
	}
	for _, word := range []string{"--config", "MASCRI_STATE_DIR", "-listen", "-network", "dry-run", "-cni-conf-dir", "-builtin-network"} {
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

func TestNotify(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	if err := notify("READY=1"); err != nil {
		t.Errorf("without a service manager: %v", err)
	}
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "none"))
	if err := notify("READY=1"); err == nil {
		t.Error("a service manager that does not listen goes unnoticed")
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
