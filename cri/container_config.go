package cri

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mascri/mascri/cri/docker"
)

// Labels of workload containers, beside those that labels.go lists.
const (
	labelContainer = "mascri.container"     // the ContainerConfig, as protobuf JSON
	labelLogPath   = "mascri.log-path"      // of the CRI log; not there where none is kept
	labelImageRef  = "mascri.image-ref"     // digest of the image at create, or its ID
	labelPodName   = "mascri.pod-name"      // with labelPodSpace and labelPodUID, whose container it is
	labelPodSpace  = "mascri.pod-namespace" //
	labelPodUID    = "mascri.pod-uid"       //
)

// workload is a container of a pod as the engine and its labels tell it.
type workload struct {
	docker.Container
	config  *runtimeapi.ContainerConfig
	sandbox string // its sandbox's ID
	created time.Time
	logPath string
}

// containerName is the name of a container's container, unique for a pod, its
// attempt, the container and its attempt, so that the engine judges when two
// calls race.
func containerName(p pod, config *runtimeapi.ContainerConfig) string {
	m, c := p.config.GetMetadata(), config.GetMetadata()
	return fmt.Sprintf("mascri_%s_%s_%s_%s_%d_%d", c.GetName(), m.GetName(), m.GetNamespace(), m.GetUid(), m.GetAttempt(), c.GetAttempt())
}

// containerLabels writes down a container that is about to be created.
func containerLabels(s sandbox, config *runtimeapi.ContainerConfig, image docker.Image, created time.Time) (map[string]string, error) {
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(config)
	if err != nil {
		return nil, fmt.Errorf("label %s: %w", labelContainer, err)
	}
	m := s.pod.config.GetMetadata()
	labels := map[string]string{
		labelKind:      kindContainer,
		labelSandbox:   s.id,
		labelContainer: string(text),
		labelImageRef:  imageRef(image),
		labelCreated:   created.UTC().Format(time.RFC3339Nano),
		labelPodName:   m.GetName(),
		labelPodSpace:  m.GetNamespace(),
		labelPodUID:    m.GetUid(),
	}
	if path := logPathOf(s.pod, config); path != "" {
		labels[labelLogPath] = path
	}
	return labels, nil
}

// imageRef names an image's content in a way that other nodes understand.
func imageRef(image docker.Image) string {
	if len(image.Digests) > 0 {
		return image.Digests[0]
	}
	return image.ID
}

// logPathOf is where the CRI log goes; "" where the request names no place.
func logPathOf(p pod, config *runtimeapi.ContainerConfig) string {
	if p.config.GetLogDirectory() == "" || config.GetLogPath() == "" {
		return ""
	}
	return filepath.Join(p.config.GetLogDirectory(), config.GetLogPath())
}

// decodeWorkload reads a workload from its container, whose labels it may remember.
func (c *containers) decodeWorkload(found docker.Container) (workload, error) {
	w, err := c.written.get(found.ID, found.Labels[labelContainer], func() (workload, error) {
		w, err := decodeContainer(found)
		w.Container = docker.Container{} // it changes, and is large
		return w, err
	})
	w.Container = found
	return w, err
}

// decodeContainer reads a workload container's labels. errNotFound: it is none
// of ours.
func decodeContainer(c docker.Container) (workload, error) {
	if c.Labels[labelKind] != kindContainer {
		return workload{}, fmt.Errorf("container %s: %w: the container is not one of ours", short(c.ID), errNotFound)
	}
	found := workload{
		Container: c,
		config:    &runtimeapi.ContainerConfig{},
		sandbox:   c.Labels[labelSandbox],
		created:   c.Created,
		logPath:   c.Labels[labelLogPath],
	}
	read := protojson.UnmarshalOptions{DiscardUnknown: true}
	if err := read.Unmarshal([]byte(c.Labels[labelContainer]), found.config); err != nil {
		return workload{}, fmt.Errorf("container %s: label %s: %w", short(c.ID), labelContainer, err)
	}
	if found.config.Metadata == nil {
		return workload{}, fmt.Errorf("container %s: label %s: no metadata", short(c.ID), labelContainer)
	}
	if created, err := time.Parse(time.RFC3339Nano, c.Labels[labelCreated]); err == nil {
		found.created = created
	}
	return found, nil
}

// image is what the container was created from, by the name that its user wrote
// where the caller passed that on: a kubelet names images by ID, and shows its
// users what it is answered.
func (w workload) image() *runtimeapi.ImageSpec {
	asked := w.config.GetImage()
	if asked.GetUserSpecifiedImage() == "" {
		return asked
	}
	return &runtimeapi.ImageSpec{
		Image:              asked.GetUserSpecifiedImage(),
		UserSpecifiedImage: asked.GetUserSpecifiedImage(),
		ImageRef:           asked.GetImageRef(),
		RuntimeHandler:     asked.GetRuntimeHandler(),
		Annotations:        asked.GetAnnotations(),
	}
}

// specOf is a container in Docker's terms.
func specOf(s sandbox, config *runtimeapi.ContainerConfig, labels map[string]string, log docker.Log) (docker.ContainerSpec, error) {
	namespaces, err := containerNamespaces(s, config.GetLinux().GetSecurityContext().GetNamespaceOptions())
	if err != nil {
		return docker.ContainerSpec{}, err
	}
	wanted := docker.ContainerSpec{
		Name:           containerName(s.pod, config),
		Labels:         labels,
		Annotations:    config.GetAnnotations(),
		Image:          config.GetImage().GetImage(),
		Command:        config.GetCommand(),
		Args:           config.GetArgs(),
		WorkingDir:     config.GetWorkingDir(),
		Stdin:          config.GetStdin(),
		StdinOnce:      config.GetStdinOnce(),
		Terminal:       config.GetTty(),
		StopSignal:     stopSignal(config.GetStopSignal()),
		Namespaces:     namespaces,
		Security:       containerSecurity(config.GetLinux().GetSecurityContext()),
		Resources:      limitsOf(config.GetLinux().GetResources()),
		CgroupParent:   s.pod.config.GetLinux().GetCgroupParent(),
		RuntimeHandler: s.handler,
		Mounts:         mountPoints(config.GetMounts()),
		Log:            log,
	}
	for _, env := range config.GetEnvs() {
		wanted.Env = append(wanted.Env, env.GetKey()+"="+string(env.GetValue()))
	}
	for _, d := range config.GetDevices() {
		wanted.Devices = append(wanted.Devices, docker.Device{
			HostPath: d.GetHostPath(), ContainerPath: d.GetContainerPath(), Permissions: d.GetPermissions(),
		})
	}
	for _, d := range config.GetCDIDevices() {
		wanted.CDIDevices = append(wanted.CDIDevices, d.GetName())
	}
	return wanted, nil
}

// signalPrefix begins the CRI's names of signals: SIGNAL_SIGTERM.
const signalPrefix = "SIGNAL_"

// stopSignal is a signal as Docker names it; "" is the image's, or SIGTERM.
func stopSignal(s runtimeapi.Signal) string {
	if s == runtimeapi.Signal_SIGNAL_RUNTIME_DEFAULT {
		return ""
	}
	// The CRI spells the real-time signals' plus and minus out.
	name := strings.TrimPrefix(s.String(), signalPrefix)
	return strings.NewReplacer("MINUS", "-", "PLUS", "+").Replace(name)
}

// signalOf undoes stopSignal; what the CRI has no name for is the default.
func signalOf(name string) runtimeapi.Signal {
	if name == "" {
		name = "SIGTERM"
	}
	name = strings.NewReplacer("-", "MINUS", "+", "PLUS").Replace(name)
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	return runtimeapi.Signal(runtimeapi.Signal_value[signalPrefix+name])
}

// containerNamespaces: network and IPC are the sandbox's, whoever's those are.
func containerNamespaces(s sandbox, o *runtimeapi.NamespaceOption) (docker.Namespaces, error) {
	const field = "config.linux.security_context.namespace_options."
	node := runtimeapi.NamespaceMode_NODE
	namespaces := docker.Namespaces{Network: docker.Of(s.id), IPC: docker.Of(s.id), PID: docker.Of(s.id)}
	if o.GetNetwork() == node && !s.onHostNetwork() {
		return namespaces, invalid(field+"network", "is NODE, but the sandbox has a network of its own")
	}
	if o.GetIpc() == node && s.namespaces().GetIpc() != node {
		return namespaces, invalid(field+"ipc", "is NODE, but the sandbox has an IPC namespace of its own")
	}
	if s.namespaces().GetIpc() == node {
		namespaces.IPC = docker.Host
	}
	switch o.GetPid() {
	case runtimeapi.NamespaceMode_CONTAINER:
		namespaces.PID = docker.Private
	case runtimeapi.NamespaceMode_NODE:
		namespaces.PID = docker.Host
	case runtimeapi.NamespaceMode_TARGET:
		namespaces.PID = docker.Of(o.GetTargetId())
	case runtimeapi.NamespaceMode_POD:
		if s.namespaces().GetPid() == node {
			namespaces.PID = docker.Host
		}
	}
	return namespaces, nil
}
