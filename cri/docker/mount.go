package docker

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
)

// MountPoint is a directory or file of the node, or an image, that a container
// sees at a path of its own.
type MountPoint struct {
	ContainerPath string
	HostPath      string // made as a directory where it is missing; "" for an image

	Image        string // mount this image's files, read-only; a reference or an ID
	ImageSubpath string // only this path of the image

	ReadOnly          bool
	RecursiveReadOnly bool // the mounts below it too; implies ReadOnly
	Propagation       Propagation
	RelabelSELinux    bool // give the source the container's label, where the engine has SELinux on
}

// Propagation says whether mounts made later pass between node and container,
// see mount_namespaces(7).
type Propagation string

const (
	// PropagationPrivate passes none.
	PropagationPrivate Propagation = "rprivate"
	// PropagationToContainer shows the container what the node mounts.
	PropagationToContainer Propagation = "rslave"
	// PropagationBidirectional also shows the node what the container mounts.
	PropagationBidirectional Propagation = "rshared"
)

// addMounts puts the mount points in Docker's terms, in order.
func (e *Engine) addMounts(host *container.HostConfig, points []MountPoint) error {
	features, selinux := e.Features(), e.info.Load().Security.SELinux
	for _, p := range points {
		var err error
		if p.RelabelSELinux && selinux {
			err = p.addBind(host)
		} else {
			err = p.addMount(host, features)
		}
		if err != nil {
			return fmt.Errorf("mount at %s: %w", p.ContainerPath, err)
		}
	}
	return nil
}

// addBind adds the mount in Docker's older notation, the only one that can ask
// for a new SELinux label. "Z" is the container's own; the kubelet gives the
// containers of a pod that share a volume one level.
func (p MountPoint) addBind(host *container.HostConfig) error {
	if strings.Contains(p.HostPath+p.ContainerPath, ":") {
		return fmt.Errorf("relabel %s for SELinux: %w where a path has a colon", p.HostPath, ErrUnsupported)
	}
	if p.RecursiveReadOnly {
		return fmt.Errorf("relabel %s for SELinux: %w together with recursive read-only", p.HostPath, ErrUnsupported)
	}
	if err := ensureSource(p.HostPath); err != nil {
		return err
	}
	options := []string{"Z"}
	if p.ReadOnly {
		options = append(options, "ro")
	}
	if p.Propagation == PropagationToContainer || p.Propagation == PropagationBidirectional {
		options = append(options, string(p.Propagation))
	}
	host.Binds = append(host.Binds, p.HostPath+":"+p.ContainerPath+":"+strings.Join(options, ","))
	return nil
}

func (p MountPoint) addMount(host *container.HostConfig, features Features) error {
	m, err := p.toDocker(features)
	host.Mounts = append(host.Mounts, m)
	return err
}

func (p MountPoint) toDocker(features Features) (mount.Mount, error) {
	if p.Image != "" {
		return p.imageMount(features)
	}
	if p.RecursiveReadOnly && !features.RecursiveReadOnly {
		return mount.Mount{}, fmt.Errorf("recursive read-only: %w (needs Docker 25)", ErrUnsupported)
	}
	if err := ensureSource(p.HostPath); err != nil {
		return mount.Mount{}, err
	}
	m := mount.Mount{
		Type:     mount.TypeBind,
		Source:   p.HostPath,
		Target:   p.ContainerPath,
		ReadOnly: p.ReadOnly || p.RecursiveReadOnly,
		BindOptions: &mount.BindOptions{
			ReadOnlyForceRecursive: p.RecursiveReadOnly,
			// Docker 25 makes each read-only mount recursively so where it
			// can; the CRI wants that only when asked for.
			ReadOnlyNonRecursive: p.ReadOnly && !p.RecursiveReadOnly,
		},
	}
	// Private is left to Docker: it picks rprivate, and rslave for a source
	// that holds its own data root, where rprivate would pin every container's
	// file system and is refused.
	if p.Propagation != PropagationPrivate {
		m.BindOptions.Propagation = mount.Propagation(p.Propagation)
	}
	return m, nil
}

func (p MountPoint) imageMount(features Features) (mount.Mount, error) {
	if !features.ImageMounts {
		return mount.Mount{}, fmt.Errorf("image %s as a volume: %w (needs Docker 28)", p.Image, ErrUnsupported)
	}
	m := mount.Mount{Type: mount.TypeImage, Source: p.Image, Target: p.ContainerPath, ReadOnly: true}
	if p.ImageSubpath != "" {
		m.ImageOptions = &mount.ImageOptions{Subpath: p.ImageSubpath}
	}
	return m, nil
}

// ensureSource makes a missing source a directory, as the kubelet expects of a
// hostPath volume without a type; Docker's mounts API would refuse it.
func ensureSource(hostPath string) error {
	_, err := os.Stat(hostPath)
	if errors.Is(err, fs.ErrNotExist) {
		err = os.MkdirAll(hostPath, 0o755)
	}
	return err
}

// mountPointsFrom reads back what a container was created with; the engine
// adds what propagation it chose. Volumes that the image declares are none of
// these.
func mountPointsFrom(r container.InspectResponse) []MountPoint {
	var points []MountPoint
	actual := map[string]container.MountPoint{}
	for _, m := range r.Mounts {
		actual[m.Destination] = m
		if m.Type == mount.TypeBind && asBind(r.HostConfig, m) {
			points = append(points, MountPoint{
				ContainerPath: m.Destination, HostPath: m.Source, ReadOnly: !m.RW,
				Propagation: Propagation(m.Propagation), RelabelSELinux: true,
			})
		}
	}
	for _, m := range r.HostConfig.Mounts {
		if m.Type == mount.TypeBind || m.Type == mount.TypeImage {
			points = append(points, mountPointFrom(m, actual[m.Target].Propagation))
		}
	}
	return points
}

// asBind: the mount was asked for by addBind.
func asBind(host *container.HostConfig, m container.MountPoint) bool {
	return slices.ContainsFunc(host.Binds, func(bind string) bool {
		return strings.HasPrefix(bind, m.Source+":"+m.Destination+":")
	})
}

func mountPointFrom(m mount.Mount, propagation mount.Propagation) MountPoint {
	p := MountPoint{ContainerPath: m.Target, ReadOnly: m.ReadOnly, Propagation: Propagation(propagation)}
	if m.Type == mount.TypeImage {
		p.Image = m.Source
	} else {
		p.HostPath = m.Source
	}
	if m.ImageOptions != nil {
		p.ImageSubpath = m.ImageOptions.Subpath
	}
	if m.BindOptions != nil {
		p.RecursiveReadOnly = m.BindOptions.ReadOnlyForceRecursive
	}
	return p
}
