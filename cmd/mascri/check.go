package main

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mascri/mascri/cri/monitor"
)

// check refuses settings that cannot work, all at once.
func (s settings) check() error {
	return errors.Join(slices.Concat(s.checkPlaces(), s.checkWords(), s.checkNetwork(), s.checkStream(), s.checkMonitor())...)
}

func (s settings) checkPlaces() (errs []error) {
	if path, err := s.socket(); err != nil {
		errs = append(errs, fmt.Errorf("--listen %q: %w", s.listen, err))
	} else if len(path) > maxSocketPath {
		errs = append(errs, fmt.Errorf("--listen %q: the path is %d bytes long, the kernel allows %d", s.listen, len(path), maxSocketPath))
	}
	for _, dir := range []struct{ name, path string }{
		{"run-dir", s.runDir}, {"state-dir", s.stateDir}, {"cni-conf-dir", s.confDir},
	} {
		if !filepath.IsAbs(dir.path) {
			errs = append(errs, fmt.Errorf("--%s %q: expected an absolute path", dir.name, dir.path))
		}
	}
	for _, dir := range s.binDirs {
		if !filepath.IsAbs(dir) || strings.ContainsRune(dir, filepath.ListSeparator) {
			errs = append(errs, fmt.Errorf("--cni-bin-dir %q: expected absolute paths without %q", dir, filepath.ListSeparator))
		}
	}
	if len(s.binDirs) == 0 {
		errs = append(errs, errors.New("--cni-bin-dir: at least one directory is needed"))
	}
	return errs
}

// checkWords looks at the settings that are one of a few words.
func (s settings) checkWords() (errs []error) {
	for _, setting := range []struct {
		name, value string
		allowed     []string
	}{
		{"network", s.network, []string{networkCNI, networkDocker, networkDryRun}},
		{"builtin-network", s.builtin, []string{"on", "off"}},
		{"pprof", s.profiles, []string{"on", "off"}},
		{"log-level", s.logLevel, []string{"debug", "info", "warn", "error"}},
		{"log-format", s.logFormat, []string{"text", "json"}},
	} {
		if !slices.Contains(setting.allowed, setting.value) {
			errs = append(errs, fmt.Errorf("--%s %q: expected %s", setting.name, setting.value, strings.Join(setting.allowed, ", ")))
		}
	}
	return errs
}

func (s settings) checkNetwork() (errs []error) {
	if s.execTimeout <= 0 {
		errs = append(errs, fmt.Errorf("--cni-timeout %s: expected a positive duration such as 30s", s.execTimeout))
	}
	if s.maxStarts < 1 {
		errs = append(errs, fmt.Errorf("--max-starts %d: expected at least 1", s.maxStarts))
	}
	// To Docker these two are no networks that a container joins beside another.
	if slices.Contains([]string{"", "none", "host"}, s.dockerNetwork) {
		errs = append(errs, fmt.Errorf("--docker-network %q: expected a network that containers can be connected to, see docker network ls", s.dockerNetwork))
	}
	return errs
}

func (s settings) checkStream() (errs []error) {
	secure := s.stream.CertFile != "" && s.stream.KeyFile != ""
	if !secure && s.stream.CertFile+s.stream.KeyFile != "" {
		errs = append(errs, errors.New("--stream-cert and --stream-key: expected both or none"))
	}
	address, err := netip.ParseAddrPort(s.stream.Address)
	if err != nil {
		errs = append(errs, fmt.Errorf("--stream-address %q: expected ADDRESS:PORT such as 127.0.0.1:0: %w", s.stream.Address, err))
	} else if !secure && !address.Addr().IsLoopback() {
		errs = append(errs, fmt.Errorf("--stream-address %s: what passes there are shells in containers: give a certificate by --stream-cert and --stream-key, or a loopback address", s.stream.Address))
	}
	if s.stream.BaseURL == "" {
		return errs
	}
	if u, err := url.Parse(s.stream.BaseURL); err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.RawQuery+u.Fragment != "" {
		errs = append(errs, fmt.Errorf("--stream-url %q: expected http://HOST:PORT/PATH or https", s.stream.BaseURL))
	}
	return errs
}

func (s settings) checkMonitor() (errs []error) {
	if s.monitorAddress == "" {
		if s.profiles == "on" {
			errs = append(errs, errors.New("--pprof on: needs --monitor-address, where they are served"))
		}
		return errs
	}
	if err := monitor.CheckAddress(s.monitorAddress); err != nil {
		errs = append(errs, fmt.Errorf("--monitor-address %q: %w", s.monitorAddress, err))
	}
	return errs
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
