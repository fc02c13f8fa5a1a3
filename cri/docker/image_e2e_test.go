//go:build e2e && linux

package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"

	"github.com/docker/docker/api/types/image"
	"github.com/mascri/mascri/cri/docker/pause"
)

// removeTag takes the pause image's name away, as `docker rmi -f` would.
func removeTag(t *testing.T, e *Engine) error {
	_, err := e.client.ImageRemove(t.Context(), pause.Tag, image.RemoveOptions{Force: true})
	return err
}

// importBusybox makes an image of the host's static busybox (Debian's package
// busybox-static) and removes it at the end.
func importBusybox(t *testing.T, e *Engine, changes ...string) (ref string) {
	t.Helper()
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Fatalf("%v: apt install busybox-static", err)
	}
	program, err := os.ReadFile(busybox)
	if err != nil {
		t.Fatal(err)
	}
	ref = "mascri-test/busybox:" + testName(t)
	changes = append(changes, `ENV PATH=/bin`, `LABEL `+e2eLabel+`=image`)
	stream, err := e.client.ImageImport(t.Context(),
		image.ImportSource{Source: bytes.NewReader(busyboxRoot(t, program)), SourceName: "-"}, ref,
		image.ImportOptions{Changes: changes})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	if err := lastProgress(stream, func(progress) {}); err != nil {
		t.Fatal(err)
	}
	return ref
}

// busyboxRoot is a root file system with busybox under its usual names.
func busyboxRoot(t *testing.T, program []byte) []byte {
	var root bytes.Buffer
	w := tar.NewWriter(&root)
	add := func(h tar.Header, content []byte) {
		h.Size = int64(len(content))
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	add(tar.Header{Name: "bin/busybox", Mode: 0o755}, program)
	for _, name := range []string{"sh", "sleep", "cat", "id", "ps", "true", "echo", "touch", "mkdir", "kill", "grep", "head", "stty", "hostname"} {
		add(tar.Header{Name: "bin/" + name, Typeflag: tar.TypeSymlink, Linkname: "busybox", Mode: 0o777}, nil)
	}
	add(tar.Header{Name: "etc/passwd", Mode: 0o644}, []byte("root:x:0:0::/:/bin/sh\nuser:x:1000:1000::/:/bin/sh\n"))
	add(tar.Header{Name: "etc/group", Typeflag: tar.TypeSymlink, Linkname: "groups", Mode: 0o777}, nil)
	add(tar.Header{Name: "etc/groups", Mode: 0o644}, []byte("root:x:0:\nuser:x:1000:\nextra:x:50000:user\n"))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return root.Bytes()
}

func TestE2EImages(t *testing.T) {
	e := connect(t)
	ref := importBusybox(t, e, "USER user", "VOLUME /data")
	full := "docker.io/" + ref
	byRef, err := e.InspectImage(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	if byRef.User != "user" || !slices.Equal(byRef.Volumes, []string{"/data"}) ||
		!slices.Equal(byRef.Tags, []string{full}) || byRef.Size < 100_000 || byRef.Created.IsZero() {
		t.Errorf("inspect: %+v", byRef)
	}
	for _, name := range []string{full, byRef.ID} {
		if other, err := e.InspectImage(t.Context(), name); err != nil || other.ID != byRef.ID {
			t.Errorf("inspect by %s: %+v, error %v", name, other, err)
		}
	}
	images, err := e.Images(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(images, func(i Image) bool { return i.ID == byRef.ID && slices.Contains(i.Tags, full) }) {
		t.Errorf("%s is not listed: %+v", full, images)
	}
	usage, err := e.ImageUsage()
	if err != nil || usage.Known && usage.Bytes < byRef.Size || usage.Path == "" {
		t.Errorf("usage %+v, error %v, want at least %d bytes", usage, err, byRef.Size)
	}
	_, err = e.InspectImage(t.Context(), "mascri-test/absent:1")
	wantError(t, "inspect an image that is not there", err, ErrNotFound)
}

// Many callers, from two connections (two processes to the engine), remove one
// image with two names; none fails, and a repetition neither.
func TestE2ERemoveImageAtOnce(t *testing.T) {
	one, two := connect(t), connect(t)
	ref := importBusybox(t, one)
	if err := one.client.ImageTag(t.Context(), ref, "mascri-test/other:"+testName(t)); err != nil {
		t.Fatal(err)
	}
	found, err := one.InspectImage(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	var callers sync.WaitGroup
	for range 8 {
		for _, e := range []*Engine{one, two} {
			for _, name := range []string{ref, found.ID} {
				callers.Go(func() {
					if err := e.RemoveImage(context.Background(), name); err != nil {
						t.Errorf("remove %s: %v", name, err)
					}
				})
			}
		}
	}
	callers.Wait()
	_, err = one.InspectImage(t.Context(), found.ID)
	wantError(t, "inspect after remove", err, ErrNotFound)
}

// What a running container uses stays, and the refusal is none that a retry would
// change.
func TestE2ERemoveImageInUse(t *testing.T) {
	e := connect(t)
	_, spec := pod(t, e, sandbox(t))
	mustRunContainer(t, e, spec)
	wantError(t, "remove", e.RemoveImage(t.Context(), spec.Image), ErrInUse)
	if _, err := e.InspectImage(t.Context(), spec.Image); err != nil {
		t.Error(err)
	}
}
