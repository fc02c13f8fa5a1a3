package cri

import (
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// parseContainer makes a container of a request, or says which field is wrong,
// or cannot be had from Docker. Nothing past it checks again, but what depends
// on the sandbox or on the engine.
func parseContainer(r *runtimeapi.CreateContainerRequest) (*runtimeapi.ContainerConfig, error) {
	config := r.GetConfig()
	if config == nil {
		return nil, invalid("config", "is missing")
	}
	for _, check := range []func(*runtimeapi.ContainerConfig) error{
		checkContainerName, checkContainerImage, checkProcess, checkLogPath,
		checkMounts, checkDevices, checkContainerLinux,
	} {
		if err := check(config); err != nil {
			return nil, err
		}
	}
	return config, nil
}

func checkContainerName(config *runtimeapi.ContainerConfig) error {
	const field = "config.metadata.name"
	name := config.GetMetadata().GetName()
	switch {
	case name == "":
		return invalid(field, "is empty")
	case len(name) > maxNameLength:
		return invalid(field, "is %d bytes long, at most %d are allowed", len(name), maxNameLength)
	case !podName.MatchString(name):
		return invalid(field, "%q must be letters, digits, '-' and '.', beginning and ending with a letter or digit", name)
	}
	return nil
}

func checkContainerImage(config *runtimeapi.ContainerConfig) error {
	return checkReference("config.image.image", config.GetImage().GetImage())
}

// checkProcess looks at what execve(2) gets: no string of it can hold a NUL.
func checkProcess(config *runtimeapi.ContainerConfig) error {
	for _, list := range []struct {
		field   string
		entries []string
	}{{"config.command", config.GetCommand()}, {"config.args", config.GetArgs()}, {"config.working_dir", []string{config.GetWorkingDir()}}} {
		for _, entry := range list.entries {
			if strings.ContainsRune(entry, 0) {
				return invalid(list.field, "%q has a NUL byte", entry)
			}
		}
	}
	for i, env := range config.GetEnvs() {
		field := fmt.Sprintf("config.envs[%d].", i)
		if env.GetKey() == "" || strings.ContainsAny(env.GetKey(), "=\x00") {
			return invalid(field+"key", "%q must not be empty nor have '=' or a NUL byte", env.GetKey())
		}
		if strings.ContainsRune(string(env.GetValue()), 0) {
			return invalid(field+"value", "of %s has a NUL byte", env.GetKey())
		}
		// JSON would carry another value: encoding/json replaces what is no UTF-8.
		if !utf8.Valid(env.GetValue()) {
			return unsupported(field+"value", "of %s is not UTF-8, and Docker's API takes nothing else: mount it as a file", env.GetKey())
		}
	}
	if config.GetStdinOnce() && !config.GetStdin() {
		return invalid("config.stdin_once", "needs stdin")
	}
	if _, known := runtimeapi.Signal_name[int32(config.GetStopSignal())]; !known {
		return invalid("config.stop_signal", "%d is unknown", config.GetStopSignal())
	}
	if config.GetWindows() != nil {
		return invalid("config.windows", "these are Linux containers")
	}
	return nil
}

func checkLogPath(config *runtimeapi.ContainerConfig) error {
	name := config.GetLogPath()
	if name != "" && (!filepath.IsLocal(name) || strings.ContainsRune(name, 0)) {
		return invalid("config.log_path", "%q must be a path below the sandbox's log_directory", name)
	}
	return nil
}

func checkMounts(config *runtimeapi.ContainerConfig) error {
	for i, m := range config.GetMounts() {
		if err := checkMount(fmt.Sprintf("config.mounts[%d].", i), m); err != nil {
			return err
		}
	}
	return nil
}

func checkMount(field string, m *runtimeapi.Mount) error {
	image := m.GetImage().GetImage()
	switch {
	case !path.IsAbs(m.GetContainerPath()) || strings.ContainsRune(m.GetContainerPath(), 0):
		return invalid(field+"container_path", "%q must be an absolute path", m.GetContainerPath())
	case image != "" && m.GetHostPath() != "":
		return invalid(field+"image", "and host_path are both set")
	case image != "" && !m.GetReadonly():
		return invalid(field+"readonly", "is false, but an image is mounted read-only")
	case image == "" && m.GetImageSubPath() != "":
		return invalid(field+"image_sub_path", "needs image")
	case image == "" && (!path.IsAbs(m.GetHostPath()) || strings.ContainsRune(m.GetHostPath(), 0)):
		return invalid(field+"host_path", "%q must be an absolute path", m.GetHostPath())
	case len(m.GetUidMappings())+len(m.GetGidMappings()) > 0:
		return unsupported(field+"uid_mappings", "Docker maps no user IDs of a mount")
	case len(m.GetMountOptions()) > 0:
		return unsupported(field+"mount_options", "Docker takes no options of mount(8) for a directory of the host")
	}
	if _, known := propagations[m.GetPropagation()]; !known {
		return invalid(field+"propagation", "%d is unknown", m.GetPropagation())
	}
	if !m.GetRecursiveReadOnly() {
		return nil
	}
	// The CRI's own conditions for recursive_read_only.
	if !m.GetReadonly() {
		return invalid(field+"recursive_read_only", "needs readonly")
	}
	if m.GetPropagation() != runtimeapi.MountPropagation_PROPAGATION_PRIVATE {
		return invalid(field+"recursive_read_only", "needs propagation to be private")
	}
	return nil
}

func checkDevices(config *runtimeapi.ContainerConfig) error {
	for i, d := range config.GetDevices() {
		field := fmt.Sprintf("config.devices[%d].", i)
		if !path.IsAbs(d.GetHostPath()) {
			return invalid(field+"host_path", "%q must be an absolute path", d.GetHostPath())
		}
		if !path.IsAbs(d.GetContainerPath()) {
			return invalid(field+"container_path", "%q must be an absolute path", d.GetContainerPath())
		}
		if strings.Trim(d.GetPermissions(), "rwm") != "" {
			return invalid(field+"permissions", "%q must be letters of \"rwm\"", d.GetPermissions())
		}
	}
	return nil
}

func checkContainerLinux(config *runtimeapi.ContainerConfig) error {
	const field = "config.linux.security_context."
	security := config.GetLinux().GetSecurityContext()
	if err := checkResources("config.linux.resources.", config.GetLinux().GetResources()); err != nil {
		return err
	}
	if err := checkContainerNamespaces(security.GetNamespaceOptions()); err != nil {
		return err
	}
	if err := checkUser(security); err != nil {
		return err
	}
	if len(security.GetCapabilities().GetAddAmbientCapabilities()) > 0 {
		return unsupported(field+"capabilities.add_ambient_capabilities", "Docker sets no ambient capabilities")
	}
	for _, p := range []struct {
		name    string
		profile *runtimeapi.SecurityProfile
	}{{"seccomp", seccompOf(security)}, {"apparmor", apparmorOf(security)}} {
		if p.profile.GetProfileType() == runtimeapi.SecurityProfile_Localhost && p.profile.GetLocalhostRef() == "" {
			return invalid(field+p.name, "is of type Localhost and names no profile")
		}
	}
	return nil
}

func checkContainerNamespaces(options *runtimeapi.NamespaceOption) error {
	const field = "config.linux.security_context.namespace_options."
	if o := options.GetUsernsOptions(); o != nil && o.GetMode() == runtimeapi.NamespaceMode_POD {
		return unsupported(field+"userns_options", "Docker has no user namespace for a single pod; run the engine with userns-remap instead")
	}
	pod, node := runtimeapi.NamespaceMode_POD, runtimeapi.NamespaceMode_NODE
	target := runtimeapi.NamespaceMode_TARGET
	for _, n := range []struct {
		name    string
		mode    runtimeapi.NamespaceMode
		allowed []runtimeapi.NamespaceMode
	}{
		{"network", options.GetNetwork(), []runtimeapi.NamespaceMode{pod, node}},
		{"ipc", options.GetIpc(), []runtimeapi.NamespaceMode{pod, node, target}},
		{"pid", options.GetPid(), []runtimeapi.NamespaceMode{pod, runtimeapi.NamespaceMode_CONTAINER, node, target}},
	} {
		if !slices.Contains(n.allowed, n.mode) {
			return invalid(field+n.name, "%s is not possible for a container, only %v", n.mode, n.allowed)
		}
		if n.mode == target && options.GetTargetId() == "" {
			return invalid(field+"target_id", "is empty, but %s is TARGET", n.name)
		}
	}
	return nil
}

// checkUser: Docker takes a user and a group as one.
func checkUser(s *runtimeapi.LinuxContainerSecurityContext) error {
	const field = "config.linux.security_context."
	if s.GetRunAsUser() != nil && s.GetRunAsUsername() != "" {
		return invalid(field+"run_as_username", "and run_as_user are both set")
	}
	if strings.ContainsAny(s.GetRunAsUsername(), ":\x00") {
		return invalid(field+"run_as_username", "%q is no user name", s.GetRunAsUsername())
	}
	if s.GetRunAsGroup() != nil && s.GetRunAsUser() == nil && s.GetRunAsUsername() == "" {
		return invalid(field+"run_as_group", "needs run_as_user or run_as_username")
	}
	if _, known := runtimeapi.SupplementalGroupsPolicy_name[int32(s.GetSupplementalGroupsPolicy())]; !known {
		return invalid(field+"supplemental_groups_policy", "%d is unknown", s.GetSupplementalGroupsPolicy())
	}
	return nil
}

func checkResources(field string, r *runtimeapi.LinuxContainerResources) error {
	for _, n := range []struct {
		name  string
		value int64
		least int64
	}{
		{"cpu_period", r.GetCpuPeriod(), 0}, {"cpu_quota", r.GetCpuQuota(), -1}, {"cpu_shares", r.GetCpuShares(), 0},
		{"memory_limit_in_bytes", r.GetMemoryLimitInBytes(), 0}, {"memory_swap_limit_in_bytes", r.GetMemorySwapLimitInBytes(), -1},
		{"oom_score_adj", r.GetOomScoreAdj(), -1000},
	} {
		if n.value < n.least {
			return invalid(field+n.name, "is %d, the least is %d", n.value, n.least)
		}
	}
	if r.GetOomScoreAdj() > 1000 {
		return invalid(field+"oom_score_adj", "is %d, the most is 1000", r.GetOomScoreAdj())
	}
	for _, limit := range r.GetHugepageLimits() {
		if !hugepageSize.MatchString(limit.GetPageSize()) {
			return invalid(field+"hugepage_limits", "%q is no page size such as 2MB", limit.GetPageSize())
		}
	}
	for name := range r.GetUnified() {
		if !unifiedName.MatchString(name) {
			return invalid(field+"unified", "%q is no file of a control group such as memory.high", name)
		}
	}
	return nil
}
