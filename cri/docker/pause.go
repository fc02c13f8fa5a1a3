package docker

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/docker/docker/client"
	"github.com/mascri/mascri/cri/docker/pause"
	"golang.org/x/sync/singleflight"
)

// PauseImage is the reference under which the engine holds the pause image.
const PauseImage = pause.Tag

// pauseImage makes concurrent callers load the image once.
type pauseImage struct{ loading singleflight.Group }

// EnsurePause loads the pause image into the engine where it is missing and
// returns its reference. No registry is asked: the image is built here, for
// the engine's architecture.
func (e *Engine) EnsurePause(ctx context.Context) (ref string, err error) {
	// The load belongs to all who wait for it, so the first caller's
	// cancellation must not end it; call bounds it.
	shared := context.WithoutCancel(ctx)
	done := e.pause.loading.DoChan(pause.Tag, func() (any, error) { return nil, e.ensurePause(shared) })
	select {
	case result := <-done:
		return pause.Tag, result.Err
	case <-ctx.Done():
		return "", fmt.Errorf("load the pause image: %w", ctx.Err())
	}
}

func (e *Engine) ensurePause(ctx context.Context) error {
	err := e.call(ctx, "inspect image", pause.Tag, func(ctx context.Context) error {
		_, err := e.client.ImageInspect(ctx, pause.Tag)
		return err
	})
	if !errors.Is(err, ErrNotFound) {
		return err
	}
	archive, err := pause.Image(e.version.Arch)
	if err != nil {
		return err
	}
	e.log.Info("loading the pause image into the engine", "image", pause.Tag, "bytes", len(archive))
	return e.call(ctx, "load image", pause.Tag, func(ctx context.Context) error {
		answer, err := e.client.ImageLoad(ctx, bytes.NewReader(archive), client.ImageLoadWithQuiet(true))
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		return lastProgress(answer.Body, func(progress) {})
	})
}
