package pause

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Tag is the image's name in the engine. Its number changes with the image's
// content, so that an engine which holds an older one gets the new one.
const Tag = "mascri/pause:1"

// nobody is the user and group the program runs as unless the pod says
// otherwise: it needs no right whatever.
const nobody = "65535:65535"

// epoch is the date of all there is in the image, so that it is the same image
// whenever it is made.
var epoch = time.Unix(0, 0).UTC()

// Image is the pause image for arch as an archive for `docker load`: one layer
// with the program, the image's configuration, and the manifest that names
// both (github.com/moby/docker-image-spec, "Combined Image JSON + Filesystem
// Changeset Format").
func Image(arch string) ([]byte, error) {
	program, err := Executable(arch)
	if err != nil {
		return nil, err
	}
	layer, err := archive(file{"pause", program, 0o555})
	if err != nil {
		return nil, err
	}
	config, err := json.Marshal(imageConfig(arch, layer))
	if err != nil {
		return nil, fmt.Errorf("encode the pause image's configuration: %w", err)
	}
	// The engine knows the image by the configuration's digest.
	configName := digest.FromBytes(config).Encoded() + ".json"
	manifest, err := json.Marshal([]map[string]any{
		{"Config": configName, "RepoTags": []string{Tag}, "Layers": []string{"layer.tar"}},
	})
	if err != nil {
		return nil, fmt.Errorf("encode the pause image's manifest: %w", err)
	}
	return archive(
		file{"layer.tar", layer, 0o444},
		file{configName, config, 0o444},
		file{"manifest.json", manifest, 0o444},
	)
}

func imageConfig(arch string, layer []byte) ocispec.Image {
	return ocispec.Image{
		Created:  &epoch,
		Platform: ocispec.Platform{OS: "linux", Architecture: arch},
		Config: ocispec.ImageConfig{
			User:       nobody,
			Entrypoint: []string{"/pause"},
			WorkingDir: "/",
			StopSignal: "SIGTERM",
			Labels:     map[string]string{ocispec.AnnotationTitle: "MasCRI pause"},
		},
		RootFS:  ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{digest.FromBytes(layer)}},
		History: []ocispec.History{{Created: &epoch, CreatedBy: "mascri: assemble /pause"}},
	}
}

type file struct {
	name    string
	content []byte
	mode    int64
}

// archive is a tar file of the given files, owned by root.
func archive(files ...file) ([]byte, error) {
	var buffer bytes.Buffer
	w := tar.NewWriter(&buffer)
	for _, f := range files {
		header := tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.content)), ModTime: epoch}
		if err := w.WriteHeader(&header); err != nil {
			return nil, fmt.Errorf("archive %s of the pause image: %w", f.name, err)
		}
		if _, err := w.Write(f.content); err != nil {
			return nil, fmt.Errorf("archive %s of the pause image: %w", f.name, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("archive the pause image: %w", err)
	}
	return buffer.Bytes(), nil
}
