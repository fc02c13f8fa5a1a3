package docker

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/image"
	"golang.org/x/sync/singleflight"
)

// Image is an image in the engine's store. Images leaves User to Volumes empty.
type Image struct {
	ID      string   // "sha256:…"
	Tags    []string // "docker.io/library/busybox:1.36": full names
	Digests []string // "docker.io/library/busybox@sha256:…": full names
	Size    int64    // bytes, layers shared with other images included
	Created time.Time
	Labels  map[string]string

	User         string // of the image's configuration: "", "uid", "name", "uid:gid"
	StopSignal   string
	Architecture string
	Volumes      []string // paths the image declares as such, sorted
}

// imageRemovals makes concurrent removals of one image one removal.
type imageRemovals struct{ running singleflight.Group }

// Images lists the images, without the intermediate ones of a build.
func (e *Engine) Images(ctx context.Context) ([]Image, error) {
	var images []Image
	err := e.call(ctx, "list", "images", func(ctx context.Context) error {
		answer, err := e.client.ImageList(ctx, image.ListOptions{})
		for _, summary := range answer {
			images = append(images, Image{
				ID:      summary.ID,
				Tags:    tagsFrom(summary.RepoTags),
				Digests: digestsFrom(summary.RepoDigests),
				Size:    summary.Size,
				Created: time.Unix(summary.Created, 0),
				Labels:  summary.Labels,
			})
		}
		return err
	})
	return images, err
}

// InspectImage looks an image up by ID or reference. ErrNotFound: it is not
// here.
func (e *Engine) InspectImage(ctx context.Context, ref string) (Image, error) {
	var found Image
	err := e.call(ctx, "inspect image", ref, func(ctx context.Context) error {
		answer, err := e.client.ImageInspect(ctx, storeName(ref))
		if err == nil {
			found = imageFrom(answer)
		}
		return err
	})
	return found, err
}

func imageFrom(r image.InspectResponse) Image {
	found := Image{
		ID:           r.ID,
		Tags:         tagsFrom(r.RepoTags),
		Digests:      digestsFrom(r.RepoDigests),
		Size:         r.Size,
		Created:      parseTime(r.Created),
		Architecture: r.Architecture,
	}
	if r.Config != nil { // absent from an image that was imported without one
		found.Labels = r.Config.Labels
		found.User = r.Config.User
		found.StopSignal = r.Config.StopSignal
		for volume := range r.Config.Volumes {
			found.Volumes = append(found.Volumes, volume)
		}
		slices.Sort(found.Volumes)
	}
	return found
}

// RemoveImage removes an image with all its names, though a stopped container
// may still refer to it; by ID or reference. An image that is not there is
// nothing to do, for concurrent callers too. ErrInUse: a running container has
// it.
func (e *Engine) RemoveImage(ctx context.Context, ref string) error {
	found, err := e.InspectImage(ctx, ref)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	shared := context.WithoutCancel(ctx) // it is every waiting caller's
	done := e.removals.running.DoChan(found.ID, func() (any, error) { return nil, e.removeImage(shared, found.ID) })
	select {
	case result := <-done:
		return result.Err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (e *Engine) removeImage(ctx context.Context, id string) error {
	err := e.call(ctx, "remove image", id, func(ctx context.Context) error {
		_, err := e.client.ImageRemove(ctx, id, image.RemoveOptions{Force: true, PruneChildren: true})
		return err
	})
	if err == nil || errors.Is(err, ErrNotFound) {
		return nil
	}
	// Docker 20.10 answers "unrecognized image ID", code 500, when another
	// client was faster.
	if _, gone := e.InspectImage(ctx, id); errors.Is(gone, ErrNotFound) {
		return nil
	}
	if errors.Is(err, ErrConflict) { // with Force, nothing else stands against it
		return &engineError{kind: ErrInUse, err: err}
	}
	return err
}

// storeName is the name the engine has an image under. It stores an image that
// was pulled by tag and digest without the tag, but does not look it up so.
func storeName(ref string) string {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return ref // an ID, or nothing the engine knows
	}
	digested, isDigested := named.(reference.Digested)
	_, isTagged := named.(reference.Tagged)
	if !isDigested || !isTagged {
		return ref
	}
	canonical, err := reference.WithDigest(reference.TrimNamed(named), digested.Digest())
	if err != nil {
		return ref
	}
	return canonical.String()
}

// tagsFrom keeps the names that are tags. An engine with containerd's image
// store lists digests among them, and one without writes "<none>:<none>".
func tagsFrom(names []string) []string {
	return fullNames(names, func(name string) bool { return !strings.Contains(name, "@") })
}

// digestsFrom keeps the names that are digests: "<none>@sha256:…" is not one.
func digestsFrom(names []string) []string {
	return fullNames(names, func(name string) bool { return strings.Contains(name, "@sha256:") })
}

// fullNames writes out what Docker leaves away: "busybox:1" is
// "docker.io/library/busybox:1" to everyone else.
func fullNames(names []string, keep func(string) bool) []string {
	var full []string
	for _, name := range names {
		named, err := reference.ParseNormalizedNamed(name)
		if err == nil && keep(name) {
			full = append(full, named.String())
		}
	}
	return full
}
