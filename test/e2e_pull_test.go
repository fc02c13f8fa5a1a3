//go:build e2e && linux

package test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

const (
	manifestType = "application/vnd.docker.distribution.manifest.v2+json"
	registryUser = "puller"
	registryPass = "secret"
)

// registry serves an image of one empty file to who knows the password, as the
// OCI distribution specification has it. Engines need no TLS on loopback.
type registry struct {
	*httptest.Server
	manifest []byte
	blobs    map[string][]byte // by digest
}

func newRegistry(t *testing.T) *registry {
	t.Helper()
	r := &registry{blobs: map[string][]byte{}}
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	if err := w.WriteHeader(&tar.Header{Name: t.Name(), Mode: 0o644}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	files := r.add("application/vnd.docker.image.rootfs.diff.tar", layer.Bytes())
	config, err := json.Marshal(map[string]any{"os": "linux", "architecture": "amd64", "config": map[string]any{"User": "7"},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []any{files["digest"]}}})
	if err != nil {
		t.Fatal(err)
	}
	r.manifest, err = json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": manifestType,
		"config": r.add("application/vnd.docker.container.image.v1+json", config), "layers": []any{files}})
	if err != nil {
		t.Fatal(err)
	}
	r.Server = httptest.NewServer(r)
	t.Cleanup(func() { r.CloseClientConnections(); r.Close() })
	return r
}

func digestOf(b []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(b)) }

// add has the registry serve a blob, and describes it.
func (r *registry) add(mediaType string, blob []byte) map[string]any {
	r.blobs[digestOf(blob)] = blob
	return map[string]any{"mediaType": mediaType, "digest": digestOf(blob), "size": len(blob)}
}

func (r *registry) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	if user, password, _ := request.BasicAuth(); user != registryUser || password != registryPass {
		w.Header().Set("Www-Authenticate", `Basic realm="test"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	name := request.URL.Path[strings.LastIndex(request.URL.Path, "/")+1:]
	content, found := r.blobs[name]
	if name == "1" || name == digestOf(r.manifest) {
		w.Header().Set("Content-Type", manifestType)
		w.Header().Set("Docker-Content-Digest", digestOf(r.manifest))
		content, found = r.manifest, true
	}
	if !found && name != "" { // "" asks whether this is a registry
		w.WriteHeader(http.StatusNotFound)
	}
	_, _ = w.Write(content) // the engine may have left
}

// An image comes with the credentials of the call, is named by its ID, and goes.
func TestPullImage(t *testing.T) {
	n, r := newNode(t), newRegistry(t)
	images := n.images()
	repository := strings.TrimPrefix(r.URL, "http://") + "/test/image"
	pull := func(reference string, auth *runtimeapi.AuthConfig) (*runtimeapi.PullImageResponse, error) {
		return images.PullImage(t.Context(), &runtimeapi.PullImageRequest{Image: &runtimeapi.ImageSpec{Image: reference}, Auth: auth})
	}
	known := &runtimeapi.AuthConfig{Username: registryUser, Password: registryPass}
	if _, err := pull(repository+":1", nil); status.Code(err) != codes.PermissionDenied {
		t.Errorf("a pull without a password: %v", err)
	}
	if _, err := pull(repository+":2", known); status.Code(err) != codes.NotFound {
		t.Errorf("a tag that is not there: %v", err)
	}
	for _, reference := range []string{repository + ":1", repository + "@" + digestOf(r.manifest)} {
		pulled, err := pull(reference, known)
		if err != nil {
			t.Fatalf("pull %s: %v", reference, err)
		}
		spec := &runtimeapi.ImageSpec{Image: reference}
		found, err := images.ImageStatus(t.Context(), &runtimeapi.ImageStatusRequest{Image: spec})
		if image := found.GetImage(); err != nil || image.GetId() == "" || image.GetId() != pulled.GetImageRef() || image.GetUid().GetValue() != 7 {
			t.Errorf("%s was pulled as %s, and is %v, %v", reference, pulled.GetImageRef(), found, err)
		}
	}
	if _, err := images.RemoveImage(t.Context(), &runtimeapi.RemoveImageRequest{Image: &runtimeapi.ImageSpec{Image: repository + ":1"}}); err != nil {
		t.Errorf("RemoveImage: %v", err)
	}
	left, err := images.ImageStatus(t.Context(), &runtimeapi.ImageStatusRequest{Image: &runtimeapi.ImageSpec{Image: repository + ":1"}})
	if err != nil || left.GetImage() != nil {
		t.Errorf("after the removal: %v, %v", left, err)
	}
}
