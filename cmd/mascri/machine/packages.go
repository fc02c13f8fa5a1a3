package machine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// A Need is a program and the Debian package that brings it, or a few with
// spaces between.
type Need struct{ Program, Package string }

// What a command of the Makefile needs beyond Go and make.
var (
	// EngineNeeds run containers.
	EngineNeeds = []Need{
		{"dockerd", "docker.io"},
		{"iptables", "iptables"},
	}
	// TestNeeds are the programs that tests compare our work with, and what the
	// race detector is linked by.
	TestNeeds = []Need{
		{"ip", "iproute2"},
		{"nft", "nftables"},
		{"iptables", "iptables"},
		{"conntrack", "conntrack"},
		{"strace", "strace"},
		{"busybox", "busybox-static"}, // what test containers run: no registry is asked
		{"sysctl", "procps"},
		{"docker", "docker-cli"}, // a package of its own since Debian 13; with docker.io before
		{"gcc", "gcc libc6-dev"},
		{"shellcheck", "shellcheck"},
	}
)

// systemDirectories are searched besides PATH: a root shell that was reached
// with su on Debian has no sbin there.
var systemDirectories = []string{"/usr/local/sbin", "/usr/sbin", "/sbin"}

// euid is the user that asks; apt-get is for root alone.
var euid = os.Geteuid

// Provide installs what is missing of needs with apt-get, whose output goes to
// log. Where there is no apt-get, or no right to use it, the error names what
// to install.
func Provide(ctx context.Context, log io.Writer, needs ...Need) error {
	extendPath()
	missing := missingPackages(needs)
	if len(missing) == 0 {
		return nil
	}
	list := strings.Join(missing, " ")
	apt, err := exec.LookPath("apt-get")
	if err != nil {
		return fmt.Errorf("missing: %s (names of Debian's packages): install them with this distribution's package manager, then run this again", list)
	}
	if euid() != 0 {
		return fmt.Errorf("missing: %s: run this as root, or first: sudo apt-get install %s", list, list)
	}
	say(log, "installing %s", list)
	install := append([]string{"install", "-qy", "--no-install-recommends"}, strings.Fields(list)...)
	if err := runApt(ctx, log, apt, install...); err != nil {
		// The usual reason is a package list that is older than the archive.
		err = errors.Join(runApt(ctx, log, apt, "update", "-q"), runApt(ctx, log, apt, install...))
		if err != nil {
			return fmt.Errorf("install %s: %w", list, err)
		}
	}
	if still := missingPackages(needs); len(still) > 0 {
		return fmt.Errorf("apt-get installed %s, but its programs are still not found in PATH", strings.Join(still, " "))
	}
	return nil
}

// runApt runs one apt-get command that asks no questions.
func runApt(ctx context.Context, log io.Writer, apt string, args ...string) error {
	cmd := exec.CommandContext(ctx, apt, args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	if !hasSystemd() {
		// invoke-rc.d(8): in runlevel 1 a package starts no service of its own
		// accord, so that whatever starts is ours to stop.
		cmd.Env = append(cmd.Env, "RUNLEVEL=1")
	}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("apt-get %s: %w", args[0], err)
	}
	return nil
}

// missingPackages lists the packages of the programs that are not in PATH.
func missingPackages(needs []Need) (packages []string) {
	for _, need := range needs {
		if _, err := exec.LookPath(need.Program); err != nil && !slices.Contains(packages, need.Package) {
			packages = append(packages, need.Package)
		}
	}
	return packages
}

// extendPath adds the system directories to this process's PATH, and so to that
// of every program it starts.
func extendPath() {
	path := filepath.SplitList(os.Getenv("PATH"))
	for _, dir := range systemDirectories {
		if !slices.Contains(path, dir) {
			path = append(path, dir)
		}
	}
	// Setenv refuses only a name or value with a NUL byte in it.
	_ = os.Setenv("PATH", strings.Join(path, string(filepath.ListSeparator)))
}

// hasSystemd says whether systemd runs this machine (sd_booted(3)).
func hasSystemd() bool {
	_, err := os.Stat("/run/systemd/system")
	return err == nil
}
