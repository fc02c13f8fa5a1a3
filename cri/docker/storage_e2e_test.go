//go:build e2e && linux

package docker

import (
	"errors"
	"os"
	"strings"
	"testing"
)

func TestE2EWritableLayer(t *testing.T) {
	e := connect(t)
	_, spec := pod(t, e, sandbox(t))
	c := mustRunContainer(t, e, spec)
	if output, code := run(t, e, c.ID, "sh", "-c", "head -c 1000000 /dev/zero >/file"); code != 0 {
		t.Fatal(output)
	}
	if size, err := e.WritableSize(t.Context(), c.ID); err != nil || size < 1_000_000 {
		t.Errorf("%d bytes, error %v, want a million", size, err)
	}
	if c.WritableLayer == "" {
		return // containerd keeps the layers
	}
	if file, err := os.Stat(c.WritableLayer + "/file"); err != nil || file.Size() != 1_000_000 {
		t.Errorf("the file in the layer: %v, error %v", file, err)
	}
}

// What the features promise works in a running container.
func TestE2EMountFeatures(t *testing.T) {
	e := connect(t)
	_, spec := pod(t, e, sandbox(t))
	source := sharedMount(t)
	features := e.Features()
	if features.ImageMounts {
		spec.Mounts = append(spec.Mounts, MountPoint{ContainerPath: "/image", Image: spec.Image, ImageSubpath: "etc"})
	}
	if features.RecursiveReadOnly {
		spec.Mounts = append(spec.Mounts, MountPoint{ContainerPath: "/rro", HostPath: source, RecursiveReadOnly: true})
	}
	c := mustRunContainer(t, e, spec)
	if len(c.Mounts) != len(spec.Mounts) {
		t.Errorf("mounts %+v, want %+v", c.Mounts, spec.Mounts)
	}
	if output, code := run(t, e, c.ID, "grep", "user", "/image/passwd"); features.ImageMounts && code != 0 {
		t.Errorf("image mount: %s", output)
	}
	if output, code := run(t, e, c.ID, "touch", "/image/x"); features.ImageMounts && code == 0 {
		t.Errorf("the image mount is writable: %s", output)
	}
	if output, code := run(t, e, c.ID, "touch", "/rro/x"); features.RecursiveReadOnly && code == 0 {
		t.Errorf("the recursively read-only mount is writable: %s", output)
	}
}

// The engine looks for a path in an image only when the container starts. That it
// is not there does not mean that the container is not.
func TestE2EImageLacksThePath(t *testing.T) {
	e := connect(t)
	_, spec := pod(t, e, sandbox(t))
	spec.Mounts = []MountPoint{{ContainerPath: "/image", Image: spec.Image, ImageSubpath: "no-such"}}
	id, err := e.CreateContainer(t.Context(), spec)
	if !e.Features().ImageMounts {
		wantError(t, "create", err, ErrUnsupported)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	err = e.Start(t.Context(), id)
	wantError(t, "start", err, ErrInvalid)
	if errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "no-such") {
		t.Errorf("start: %v", err)
	}
}
