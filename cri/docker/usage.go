package docker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// ImageUsage is the room that images take.
type ImageUsage struct {
	Path string // a directory on the file system they are on
	// Known: Bytes is the sum of the layers. Otherwise containerd keeps the
	// images, or the engine's files are not ours to see.
	Known bool
	Bytes int64
}

// ImageUsage tells the room that images take without the walk over all files
// of `docker system df`: the storage drivers note each layer's size in a file.
func (e *Engine) ImageUsage() (ImageUsage, error) {
	info := e.info.Load()
	usage := ImageUsage{Path: info.DataRoot}
	layers := filepath.Join(info.DataRoot, "image", info.StorageDriver, "layerdb", "sha256")
	size, err := sumLayers(layers)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return usage, nil
	}
	if err != nil {
		return ImageUsage{}, fmt.Errorf("measure the images: %w", err)
	}
	usage.Bytes, usage.Known = size, true
	return usage, nil
}

// sumLayers adds up the "size" files, one a layer, of a layer store.
func sumLayers(store string) (total int64, err error) {
	layers, err := os.ReadDir(store)
	if err != nil {
		return 0, err
	}
	for _, layer := range layers {
		text, err := os.ReadFile(filepath.Join(store, layer.Name(), "size"))
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed meanwhile
		}
		if err != nil {
			return 0, err
		}
		size, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("size of layer %s: %w", layer.Name(), err)
		}
		total += size
	}
	return total, nil
}

// WritableSize asks the engine for the bytes in a container's own layer. The
// engine walks the layer's files; where Container.WritableLayer is set the
// caller can do that itself, and count inodes too.
func (e *Engine) WritableSize(ctx context.Context, id string) (int64, error) {
	var size int64
	err := e.call(ctx, "measure", id, func(ctx context.Context) error {
		answer, _, err := e.client.ContainerInspectWithRaw(ctx, id, true)
		if err == nil && answer.SizeRw != nil {
			size = *answer.SizeRw
		}
		return err
	})
	return size, err
}
