package cri

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/grpc"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mascri/mascri/cri/docker"
	"github.com/mascri/mascri/cri/docker/pause"
)

// ImageStore is what the image service needs of a Docker engine.
type ImageStore interface {
	Images(ctx context.Context) ([]docker.Image, error)
	InspectImage(ctx context.Context, ref string) (docker.Image, error)
	Pull(ctx context.Context, ref string, auth docker.Auth) (id string, err error)
	RemoveImage(ctx context.Context, ref string) error
	ImageUsage() (docker.ImageUsage, error)
}

// images answers the image service's calls.
type images struct {
	runtimeapi.UnimplementedImageServiceServer
	store  ImageStore
	layers layerSummer
}

// PullImage fetches an image and returns its ID, as in Image.id. It ends when
// the caller's deadline does.
func (s *images) PullImage(ctx context.Context, r *runtimeapi.PullImageRequest) (*runtimeapi.PullImageResponse, error) {
	ref := r.GetImage().GetImage()
	if err := checkReference("image.image", ref); err != nil {
		return nil, err
	}
	auth, err := authOf(r.GetAuth())
	if err != nil {
		return nil, err
	}
	id, err := s.store.Pull(ctx, ref, auth)
	if err != nil {
		return nil, err
	}
	return &runtimeapi.PullImageResponse{ImageRef: id}, nil
}

// authOf reads credentials in either of the forms that the CRI has for a name
// and a password.
func authOf(a *runtimeapi.AuthConfig) (docker.Auth, error) {
	auth := docker.Auth{
		Username:      a.GetUsername(),
		Password:      a.GetPassword(),
		IdentityToken: a.GetIdentityToken(),
		RegistryToken: a.GetRegistryToken(),
		ServerAddress: a.GetServerAddress(),
	}
	if a.GetAuth() == "" || auth.Username != "" {
		return auth, nil
	}
	// As in a .docker/config.json: base64 of "name:password"; some writers pad
	// the password with NUL bytes. The text is a secret and no error shows it.
	text, err := base64.StdEncoding.DecodeString(a.GetAuth())
	name, password, found := strings.Cut(strings.TrimRight(string(text), "\x00"), ":")
	if err != nil || !found {
		return docker.Auth{}, invalid("auth.auth", "is not base64 of NAME:PASSWORD")
	}
	auth.Username, auth.Password = name, password
	return auth, nil
}

// ListImages lists the images, or those that the filter's reference names.
func (s *images) ListImages(ctx context.Context, r *runtimeapi.ListImagesRequest) (*runtimeapi.ListImagesResponse, error) {
	list, err := s.list(ctx, r.GetFilter())
	return &runtimeapi.ListImagesResponse{Images: list}, err
}

// StreamImages is ListImages in messages that stay small.
func (s *images) StreamImages(r *runtimeapi.StreamImagesRequest, out grpc.ServerStreamingServer[runtimeapi.StreamImagesResponse]) error {
	list, err := s.list(out.Context(), r.GetFilter())
	if err != nil {
		return err
	}
	return sendChunks(list, func(part []*runtimeapi.Image) error {
		return out.Send(&runtimeapi.StreamImagesResponse{Images: part})
	})
}

func (s *images) list(ctx context.Context, filter *runtimeapi.ImageFilter) ([]*runtimeapi.Image, error) {
	ref := filter.GetImage().GetImage()
	if ref != "" {
		found, err := s.find(ctx, ref)
		if err != nil || found == nil {
			return nil, err
		}
		return []*runtimeapi.Image{criImage(*found)}, nil
	}
	all, err := s.store.Images(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]*runtimeapi.Image, 0, len(all))
	for _, image := range all {
		list = append(list, criImage(image))
	}
	return list, nil
}

// find looks an image up; nil where there is none.
func (s *images) find(ctx context.Context, ref string) (*docker.Image, error) {
	if err := checkReference("image.image", ref); err != nil {
		return nil, err
	}
	found, err := s.store.InspectImage(ctx, ref)
	if errors.Is(err, docker.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &found, nil
}

// ImageStatus describes an image; an answer without one says that it is not
// here. With verbose, Info has "image": what the CRI has no field for.
func (s *images) ImageStatus(ctx context.Context, r *runtimeapi.ImageStatusRequest) (*runtimeapi.ImageStatusResponse, error) {
	found, err := s.find(ctx, r.GetImage().GetImage())
	if err != nil || found == nil {
		return &runtimeapi.ImageStatusResponse{}, err
	}
	answer := &runtimeapi.ImageStatusResponse{Image: criImage(*found)}
	if !r.GetVerbose() {
		return answer, nil
	}
	text, err := json.Marshal(map[string]any{
		"architecture": found.Architecture,
		"created":      found.Created,
		"labels":       found.Labels,
		"stopSignal":   found.StopSignal,
		"volumes":      found.Volumes,
	})
	if err != nil {
		return nil, fmt.Errorf("describe image %s: %w", found.ID, err)
	}
	answer.Info = map[string]string{"image": string(text)}
	return answer, nil
}

// RemoveImage removes an image with all its names. It succeeds for one that is
// not here, for concurrent callers too.
func (s *images) RemoveImage(ctx context.Context, r *runtimeapi.RemoveImageRequest) (*runtimeapi.RemoveImageResponse, error) {
	ref := r.GetImage().GetImage()
	if err := checkReference("image.image", ref); err != nil {
		return nil, err
	}
	if err := s.store.RemoveImage(ctx, ref); err != nil {
		return nil, err
	}
	return &runtimeapi.RemoveImageResponse{}, nil
}

// criImage is an image in the CRI's terms. The pause image is pinned: it has no
// registry to be pulled from again.
func criImage(image docker.Image) *runtimeapi.Image {
	answer := &runtimeapi.Image{
		Id:          image.ID,
		RepoTags:    image.Tags,
		RepoDigests: image.Digests,
		Size:        uint64(max(0, image.Size)),
		Spec:        &runtimeapi.ImageSpec{Image: image.ID, ImageRef: image.ID, Annotations: image.Labels},
		Pinned:      isPause(image),
	}
	user, _, _ := strings.Cut(image.User, ":")
	if uid, err := strconv.ParseInt(user, 10, 64); err == nil {
		answer.Uid = &runtimeapi.Int64Value{Value: uid}
	} else {
		answer.Username = user
	}
	return answer
}

func isPause(image docker.Image) bool { return slices.Contains(image.Tags, "docker.io/"+pause.Tag) }

// maxReference bounds an image reference: the distribution specification allows
// 255 bytes for a name, 128 for a tag and some more for host and digest.
const maxReference = 1024

// checkReference keeps out what cannot name an image; whether it does, the
// engine says.
func checkReference(field, ref string) error {
	switch {
	case ref == "":
		return invalid(field, "is empty")
	case len(ref) > maxReference:
		return invalid(field, "is %d bytes long, at most %d are allowed", len(ref), maxReference)
	case strings.ContainsAny(ref, " \t\r\n\x00?#%\\") || strings.Contains(ref, ".."):
		return invalid(field, "%q is no image reference", ref)
	}
	return nil
}
