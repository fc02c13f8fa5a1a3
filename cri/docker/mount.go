package docker

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

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
	RelabelSELinux    bool // done by the caller: Docker relabels no bind of this kind
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

// mounts puts the mount points in Docker's terms, in order.
func (e *Engine) mounts(points []MountPoint) ([]mount.Mount, error) {
	var mounts []mount.Mount
	features := e.Features()
	for _, p := range points {
		m, err := p.toDocker(features)
		if err != nil {
			return nil, fmt.Errorf("mount at %s: %w", p.ContainerPath, err)
		}
		mounts = append(mounts, m)
	}
	return mounts, nil
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
// adds what propagation it chose.
func mountPointsFrom(r container.InspectResponse) []MountPoint {
	chosen := map[string]mount.Propagation{}
	for _, m := range r.Mounts {
		chosen[m.Destination] = m.Propagation
	}
	var points []MountPoint
	for _, m := range r.HostConfig.Mounts {
		p := MountPoint{
			ContainerPath: m.Target,
			ReadOnly:      m.ReadOnly,
			Propagation:   Propagation(chosen[m.Target]),
		}
		switch m.Type {
		case mount.TypeBind:
			p.HostPath = m.Source
		case mount.TypeImage:
			p.Image = m.Source
		default:
			continue
		}
		if m.ImageOptions != nil {
			p.ImageSubpath = m.ImageOptions.Subpath
		}
		if m.BindOptions != nil {
			p.RecursiveReadOnly = m.BindOptions.ReadOnlyForceRecursive
		}
		points = append(points, p)
	}
	return points
}
