//go:build e2e && linux

package docker

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mascri/mascri/cri/docker/pause"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// fakeRegistry serves one image, "test/image:1", as the distribution
// specification has it, on a loopback address, where engines need no TLS.
type fakeRegistry struct {
	*httptest.Server
	manifest []byte
	blobs    map[digest.Digest][]byte
	// allow decides on the Authorization header; challenge asks for it.
	allow     func(header string) bool
	challenge string
	// silent keeps blobs back until the test ends.
	silent bool
	ended  chan struct{}
}

func newRegistry(t *testing.T) *fakeRegistry {
	t.Helper()
	r := &fakeRegistry{blobs: map[digest.Digest][]byte{}, ended: make(chan struct{}), allow: func(string) bool { return true }}
	program, err := pause.Executable("amd64") // any bytes do
	if err != nil {
		t.Fatal(err)
	}
	layer := busyboxRoot(t, program)
	var compressed bytes.Buffer
	z := gzip.NewWriter(&compressed)
	if _, err := z.Write(layer); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	config := mustJSON(t, ocispec.Image{
		Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"},
		Author:   t.Name(), // an image of its own
		Config:   ocispec.ImageConfig{Cmd: []string{"/bin/sh"}},
		RootFS:   ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{digest.FromBytes(layer)}},
	})
	manifest := ocispec.Manifest{
		MediaType: ocispec.MediaTypeImageManifest,
		Config:    r.add(ocispec.MediaTypeImageConfig, config),
		Layers:    []ocispec.Descriptor{r.add(ocispec.MediaTypeImageLayerGzip, compressed.Bytes())},
	}
	manifest.SchemaVersion = 2
	r.manifest = mustJSON(t, manifest)
	r.Server = httptest.NewServer(r)
	t.Cleanup(func() { close(r.ended); r.CloseClientConnections(); r.Close() })
	return r
}

func mustJSON(t *testing.T, v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (r *fakeRegistry) add(mediaType string, blob []byte) ocispec.Descriptor {
	d := digest.FromBytes(blob)
	r.blobs[d] = blob
	return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(blob))}
}

// ref is the served image's reference.
func (r *fakeRegistry) ref() string { return strings.TrimPrefix(r.URL, "http://") + "/test/image:1" }

func (r *fakeRegistry) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	if !r.allow(request.Header.Get("Authorization")) {
		w.Header().Set("Www-Authenticate", r.challenge)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	path := strings.TrimPrefix(request.URL.Path, "/v2/")
	name := path[strings.LastIndex(path, "/")+1:]
	switch {
	case path == "":
	case strings.HasPrefix(path, "test/image/manifests/") && (name == "1" || name == digest.FromBytes(r.manifest).String()):
		w.Header().Set("Content-Type", ocispec.MediaTypeImageManifest)
		w.Header().Set("Docker-Content-Digest", digest.FromBytes(r.manifest).String())
		write(w, r.manifest)
	case strings.HasPrefix(path, "test/image/blobs/") && r.silent:
		// Close waits for this, and a connection that the engine keeps need not end.
		select {
		case <-request.Context().Done():
		case <-r.ended:
		}
	case strings.HasPrefix(path, "test/image/blobs/"):
		write(w, r.blobs[digest.Digest(name)])
	default:
		w.WriteHeader(http.StatusNotFound)
		write(w, []byte(`{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}`))
	}
}

// write is for a client that may have left.
func write(w http.ResponseWriter, b []byte) { _, _ = w.Write(b) }

func pullAndRemove(t *testing.T, e *Engine, ref string, auth Auth) (Image, error) {
	t.Helper()
	id, err := e.Pull(t.Context(), ref, auth)
	if err != nil {
		return Image{}, err
	}
	t.Cleanup(func() {
		if err := e.RemoveImage(context.Background(), id); err != nil {
			t.Error(err)
		}
	})
	found, err := e.InspectImage(t.Context(), ref)
	if err == nil && found.ID != id {
		t.Errorf("pull answers %s, the image is %s", id, found.ID)
	}
	return found, err
}

func TestE2EPull(t *testing.T) {
	e, r := connect(t), newRegistry(t)
	byTag, err := pullAndRemove(t, e, r.ref(), Auth{})
	if err != nil {
		t.Fatal(err)
	}
	canonical := strings.TrimSuffix(r.ref(), ":1") + "@" + digest.FromBytes(r.manifest).String()
	if !slices.Contains(byTag.Tags, r.ref()) || !slices.Contains(byTag.Digests, canonical) {
		t.Errorf("tags %v, digests %v", byTag.Tags, byTag.Digests)
	}
	for _, ref := range []string{canonical, r.ref() + "@" + digest.FromBytes(r.manifest).String()} {
		if found, err := pullAndRemove(t, e, ref, Auth{}); err != nil || found.ID != byTag.ID {
			t.Errorf("pull %s: %+v, error %v", ref, found, err)
		}
	}
	_, err = e.Pull(t.Context(), strings.TrimSuffix(r.ref(), "1")+"2", Auth{})
	wantError(t, "a tag that is not there", err, ErrNotFound)
}

func TestE2EPullWithCredentials(t *testing.T) {
	e, r := connect(t), newRegistry(t)
	r.challenge = `Basic realm="test"`
	r.allow = func(header string) bool {
		return header == "Basic dXNlcjpwYXNzd29yZA==" || header == "Bearer the-token"
	}
	_, err := e.Pull(t.Context(), r.ref(), Auth{})
	wantError(t, "no credentials", err, ErrDenied)
	_, err = e.Pull(t.Context(), r.ref(), Auth{Username: "user", Password: "wrong"})
	wantError(t, "a wrong password", err, ErrDenied)
	if strings.Contains(err.Error(), "wrong") {
		t.Errorf("the password is in the error: %v", err)
	}
	if _, err := pullAndRemove(t, e, r.ref(), Auth{Username: "user", Password: "password"}); err != nil {
		t.Error(err)
	}
	if err := e.RemoveImage(t.Context(), r.ref()); err != nil {
		t.Error(err)
	}
	r.challenge = `Bearer realm="http://127.0.0.1:1/token",service="test"`
	if _, err := pullAndRemove(t, e, r.ref(), Auth{RegistryToken: "the-token"}); err != nil {
		t.Error(err)
	}
}

// A registry that falls silent holds nobody beyond the deadline.
func TestE2EPullHonoursTheDeadline(t *testing.T) {
	e, r := connect(t), newRegistry(t)
	r.silent = true
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	begin := time.Now()
	_, err := e.Pull(ctx, r.ref(), Auth{})
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) > time.Minute {
		t.Errorf("after %s: %v", time.Since(begin), err)
	}
}
