package docker

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strconv"

	"github.com/docker/docker/api/types/container"
)

// Security is what a process may do: the part of a CRI security context that
// Docker can honour. The zero value is Docker's own default confinement.
type Security struct {
	User               string  // "uid", "uid:gid" or a name of the image; "" is the image's
	SupplementalGroups []int64 // added to those of the image's /etc/group

	Privileged      bool // all capabilities and devices, no confinement
	ReadOnlyRootfs  bool
	NoNewPrivileges bool // execve(2) grants nothing, see prctl(2)

	AddCapabilities  []string // "NET_ADMIN", "CAP_NET_ADMIN" or "ALL"
	DropCapabilities []string

	Seccomp  Profile
	AppArmor Profile
	SELinux  SELinuxLabel

	// MaskedPaths and ReadonlyPaths replace Docker's lists; nil keeps them,
	// empty clears them.
	MaskedPaths   []string
	ReadonlyPaths []string
}

// Profile selects a seccomp or AppArmor profile.
type Profile struct {
	Kind ProfileKind
	// Localhost is, for LocalhostProfile, the absolute path of a seccomp
	// profile in JSON on this host, or the name of a loaded AppArmor profile.
	Localhost string
}

// ProfileKind is where a profile comes from.
type ProfileKind int

const (
	// DefaultProfile is Docker's own.
	DefaultProfile ProfileKind = iota
	// UnconfinedProfile is none.
	UnconfinedProfile
	// LocalhostProfile is the one that Profile.Localhost names.
	LocalhostProfile
)

// SELinuxLabel holds the four parts of an SELinux context; "" keeps Docker's
// choice of that part.
type SELinuxLabel struct{ User, Role, Type, Level string }

// apply writes the security settings into host.
func (s Security) apply(host *container.HostConfig) error {
	host.Privileged = s.Privileged
	host.ReadonlyRootfs = s.ReadOnlyRootfs
	host.CapAdd = s.AddCapabilities
	host.CapDrop = s.DropCapabilities
	for _, group := range s.SupplementalGroups {
		host.GroupAdd = append(host.GroupAdd, strconv.FormatInt(group, 10))
	}
	if !s.Privileged { // a privileged container sees /proc and /sys whole
		host.MaskedPaths = s.MaskedPaths
		host.ReadonlyPaths = s.ReadonlyPaths
	}
	options, err := s.options()
	host.SecurityOpt = options
	return err
}

// options is the value of Docker's --security-opt.
func (s Security) options() ([]string, error) {
	var options []string
	if s.NoNewPrivileges {
		options = append(options, "no-new-privileges")
	}
	options = append(options, s.SELinux.options()...)
	if s.Privileged {
		// Docker confines a privileged container with a profile if it is given
		// one; that would take back what the word promises.
		return options, nil
	}
	switch s.AppArmor.Kind {
	case UnconfinedProfile:
		options = append(options, "apparmor=unconfined")
	case LocalhostProfile:
		options = append(options, "apparmor="+s.AppArmor.Localhost)
	}
	switch s.Seccomp.Kind {
	case UnconfinedProfile:
		options = append(options, "seccomp=unconfined")
	case LocalhostProfile:
		profile, err := readSeccompProfile(s.Seccomp.Localhost)
		if err != nil {
			return nil, err
		}
		options = append(options, "seccomp="+profile)
	}
	return options, nil
}

// readSeccompProfile reads a profile for the engine, which takes its content
// and not its path.
func readSeccompProfile(file string) (string, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read seccomp profile: %w: %w", ErrInvalid, err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, content); err != nil {
		return "", fmt.Errorf("seccomp profile %s is not JSON: %w: %w", file, ErrInvalid, err)
	}
	return compact.String(), nil
}

func (l SELinuxLabel) options() []string {
	var options []string
	for _, part := range []struct{ key, value string }{
		{"user", l.User}, {"role", l.Role}, {"type", l.Type}, {"level", l.Level},
	} {
		if part.value != "" {
			options = append(options, "label="+part.key+":"+part.value)
		}
	}
	return options
}
