package docker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/registry"
)

const (
	// pullIdle ends a pull that has made no progress for so long: a registry
	// that accepted the connection and fell silent.
	pullIdle = 5 * time.Minute
	// pullReport is how often a pull under way is logged.
	pullReport = 15 * time.Second
)

// Auth are the credentials of a pull; the zero value is none. Use Username and
// Password, or one of the tokens.
type Auth struct {
	Username, Password string
	IdentityToken      string // OAuth refresh token, exchanged for an access token
	RegistryToken      string // bearer token, sent as it is
	ServerAddress      string // of the registry; "" is that of the reference
}

// Pull fetches an image by reference ("busybox:1.36", "host:5000/a/b@sha256:…")
// and returns its ID, as in Image.ID. It ends with ctx, or after five minutes
// without progress. ErrNotFound: the registry has no such image. ErrDenied: it
// refuses the credentials.
func (e *Engine) Pull(ctx context.Context, ref string, auth Auth) (id string, err error) {
	header, err := registry.EncodeAuthConfig(registry.AuthConfig{
		Username: auth.Username, Password: auth.Password, ServerAddress: auth.ServerAddress,
		IdentityToken: auth.IdentityToken, RegistryToken: auth.RegistryToken,
	})
	if err != nil {
		return "", fmt.Errorf("pull %s: encode the credentials: %w", ref, err)
	}
	begin := time.Now()
	err = e.pull(ctx, ref, image.PullOptions{RegistryAuth: header})
	e.observe("pull", time.Since(begin), err)
	if err != nil {
		return "", fmt.Errorf("pull %s: %w", ref, err)
	}
	e.log.Info("pulled image", "image", ref, "took", time.Since(begin))
	found, err := e.InspectImage(ctx, ref)
	return found.ID, err
}

func (e *Engine) pull(ctx context.Context, ref string, options image.PullOptions) error {
	pulling, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	idle := time.AfterFunc(pullIdle, func() {
		cancel(fmt.Errorf("%w: no progress for %s", ErrUnavailable, pullIdle))
	})
	defer idle.Stop()
	stream, err := e.client.ImagePull(pulling, ref, options)
	if err == nil {
		defer stream.Close()
		err = lastProgress(stream, e.watchPull(ref, idle))
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() == nil && pulling.Err() != nil:
		return context.Cause(pulling)
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return registryError(err)
}

// watchPull logs how far a pull has come, and keeps it from being idle.
func (e *Engine) watchPull(ref string, idle *time.Timer) func(progress) {
	layers := map[string]progress{}
	reported := time.Now()
	return func(p progress) {
		idle.Reset(pullIdle)
		if p.Detail.Total > 0 {
			layers[p.ID] = p
		}
		if time.Since(reported) < pullReport {
			return
		}
		reported = time.Now()
		var current, total int64
		for _, layer := range layers {
			current += layer.Detail.Current
			total += layer.Detail.Total
		}
		e.log.Info("pulling image", "image", ref, "bytes", current, "known_total", total, "status", p.Status)
	}
}

// registryError classifies what a registry answered. Docker passes it on as
// text, with status 500 or in the progress stream (distribution specification,
// "Error Codes"). A registry need not give a code: then the text has the status.
func registryError(err error) error {
	err = classify(err)
	for _, known := range []struct {
		text string
		kind error
	}{
		{"manifest unknown", ErrNotFound},
		{"not found", ErrNotFound},
		{"http 404 response", ErrNotFound},
		{"unauthorized", ErrDenied},
		{"no basic auth credentials", ErrDenied},
		{"denied", ErrDenied},
		{"http 403 response", ErrDenied},
	} {
		if strings.Contains(strings.ToLower(err.Error()), known.text) && !errors.Is(err, known.kind) {
			return &engineError{kind: known.kind, err: err}
		}
	}
	return err
}
