package docker

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/api/types/versions"
)

// Version names the engine's versions.
type Version struct {
	Engine string // "20.10.24"
	API    string // the version both sides agreed on, "1.41"
	OS     string // "linux"
	Arch   string // Go's name: "amd64", "arm64"
	Kernel string
}

// Version asks the engine for its version: the cheapest proof that it lives.
func (e *Engine) Version(ctx context.Context) (Version, error) {
	var v Version
	err := e.call(ctx, "ask the version of", "Docker engine", func(ctx context.Context) error {
		answer, err := e.client.ServerVersion(ctx)
		v = Version{
			Engine: answer.Version,
			API:    e.client.ClientVersion(),
			OS:     answer.Os,
			Arch:   answer.Arch,
			Kernel: answer.KernelVersion,
		}
		return err
	})
	return v, err
}

// Info is what the engine says of itself and its host.
type Info struct {
	ID             string // stable over restarts
	CgroupDriver   string // "systemd", "cgroupfs" or "none" (rootless)
	CgroupVersion  int    // 1 or 2
	DataRoot       string // "/var/lib/docker", as the engine sees it
	StorageDriver  string // "overlay2"; "overlayfs" where containerd keeps the images
	Runtimes       []Runtime
	DefaultRuntime string
	LogDrivers     []string
	CDISpecDirs    []string // empty: no CDI
	LiveRestore    bool     // containers survive a restart of the engine
	CPUs           int
	Memory         int64 // bytes
	SwapLimit      bool  // the kernel accounts swap
	Security       SecurityFacilities
}

// Runtime is one OCI runtime the engine can start containers with.
type Runtime struct {
	Name              string
	RecursiveReadOnly bool // honours "rro" mounts
}

// SecurityFacilities are the kernel mechanisms the engine uses.
type SecurityFacilities struct {
	AppArmor, SELinux, Seccomp bool
	Rootless                   bool // the engine runs in a user namespace
	UserNamespace              bool // userns-remap: containers do
	PrivateCgroupNS            bool // containers get their own cgroup namespace by default
}

// Info asks the engine for its facts. The answer is also kept for the mapping
// of later creates (the cgroup driver decides the form of a cgroup parent).
func (e *Engine) Info(ctx context.Context) (Info, error) {
	var info Info
	err := e.call(ctx, "ask the facts of", "Docker engine", func(ctx context.Context) error {
		answer, err := e.client.Info(ctx)
		if err == nil {
			info = infoFrom(answer)
			e.info.Store(&info)
		}
		return err
	})
	return info, err
}

func infoFrom(answer system.Info) Info {
	info := Info{
		ID:             answer.ID,
		CgroupDriver:   answer.CgroupDriver,
		CgroupVersion:  1,
		DataRoot:       answer.DockerRootDir,
		StorageDriver:  answer.Driver,
		DefaultRuntime: answer.DefaultRuntime,
		LogDrivers:     answer.Plugins.Log,
		CDISpecDirs:    answer.CDISpecDirs,
		LiveRestore:    answer.LiveRestoreEnabled,
		CPUs:           answer.NCPU,
		Memory:         answer.MemTotal,
		SwapLimit:      answer.SwapLimit,
		Security:       facilitiesFrom(answer.SecurityOptions),
	}
	if answer.CgroupVersion == "2" {
		info.CgroupVersion = 2
	}
	// In one order, so that two answers can be compared.
	for _, name := range slices.Sorted(maps.Keys(answer.Runtimes)) {
		info.Runtimes = append(info.Runtimes, runtimeFrom(name, answer.Runtimes[name].Status))
	}
	return info
}

// facilitiesFrom reads lines such as "name=seccomp,profile=default".
func facilitiesFrom(options []string) SecurityFacilities {
	var f SecurityFacilities
	for _, option := range options {
		name, _, _ := strings.Cut(strings.TrimPrefix(option, "name="), ",")
		switch name {
		case "apparmor":
			f.AppArmor = true
		case "selinux":
			f.SELinux = true
		case "seccomp":
			f.Seccomp = true
		case "rootless":
			f.Rootless = true
		case "userns":
			f.UserNamespace = true
		case "cgroupns":
			f.PrivateCgroupNS = true
		}
	}
	return f
}

// Features says which parts of the CRI this engine's API can carry.
type Features struct {
	RecursiveReadOnly bool // API 1.44, Docker 25
	CDI               bool // a CDI directory is configured; Docker 25
	ImageMounts       bool // API 1.48, Docker 28
	ImageSubpath      bool // API 1.48, Docker 28
	Annotations       bool // API 1.43, Docker 24: annotations reach the OCI runtime
}

// Features derives what can be asked for from the API version and the facts of
// the last Info call.
func (e *Engine) Features() Features {
	return featuresOf(e.client.ClientVersion(), *e.info.Load())
}

// featuresOf goes by the API version that was agreed on: it says what a request
// can carry, where the engine's own version may be a distribution's.
// The versions are those of docs.docker.com/reference/api/engine/version-history.
func featuresOf(api string, info Info) Features {
	return Features{
		RecursiveReadOnly: versions.GreaterThanOrEqualTo(api, "1.44"),
		CDI:               len(info.CDISpecDirs) > 0,
		ImageMounts:       versions.GreaterThanOrEqualTo(api, "1.48"),
		ImageSubpath:      versions.GreaterThanOrEqualTo(api, "1.48"),
		Annotations:       versions.GreaterThanOrEqualTo(api, "1.43"),
	}
}

// runtimeFrom reads what an OCI runtime says of itself, which Docker 25 and
// newer pass on (the runtime specification's features.md).
func runtimeFrom(name string, status map[string]string) Runtime {
	var features struct {
		MountOptions []string `json:"mountOptions"`
	}
	// Absent or unreadable, both mean that nothing is promised.
	if json.Unmarshal([]byte(status["org.opencontainers.runtime-spec.features"]), &features) != nil {
		return Runtime{Name: name}
	}
	return Runtime{Name: name, RecursiveReadOnly: slices.Contains(features.MountOptions, "rro")}
}
