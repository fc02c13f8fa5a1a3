//go:build e2e

package docker

import (
	"testing"

	"github.com/docker/docker/api/types/image"
	"github.com/mascri/mascri/cri/docker/pause"
)

// removeTag takes the pause image's name away, as `docker rmi -f` would.
func removeTag(t *testing.T, e *Engine) error {
	_, err := e.client.ImageRemove(t.Context(), pause.Tag, image.RemoveOptions{Force: true})
	return err
}
