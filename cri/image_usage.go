package cri

import (
	"context"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mascri/mascri/cri/docker"
)

// layerSummer tells the room that the writable layers of all containers take.
type layerSummer interface {
	writableLayers(ctx context.Context) (bytes, inodes uint64, err error)
}

// imageUsage tells the room that images take. Where layers cannot be counted it is
// the sum of the images' sizes, in which each has the layers that it shares.
func (s *images) imageUsage(ctx context.Context) (docker.ImageUsage, error) {
	usage, err := s.store.ImageUsage()
	if err != nil || usage.Known {
		return usage, err
	}
	list, err := s.store.Images(ctx)
	for _, image := range list {
		usage.Bytes += image.Size
	}
	return usage, err
}

// ImageFsInfo tells the room that images take, and that containers take beside
// them. Both are on the engine's file system. Nothing is asked of the engine
// that makes it walk its files, as `docker system df` does.
func (s *images) ImageFsInfo(ctx context.Context, _ *runtimeapi.ImageFsInfoRequest) (*runtimeapi.ImageFsInfoResponse, error) {
	usage, err := s.imageUsage(ctx)
	if err != nil {
		return nil, err
	}
	bytes, inodes, err := s.layers.writableLayers(ctx)
	if err != nil {
		return nil, err
	}
	now := time.Now().UnixNano()
	on := &runtimeapi.FilesystemIdentifier{Mountpoint: usage.Path}
	return &runtimeapi.ImageFsInfoResponse{
		// No count of inodes: the storage drivers note none of a layer's.
		ImageFilesystems: []*runtimeapi.FilesystemUsage{{
			Timestamp: now, FsId: on, UsedBytes: &runtimeapi.UInt64Value{Value: uint64(max(0, usage.Bytes))},
		}},
		ContainerFilesystems: []*runtimeapi.FilesystemUsage{{
			Timestamp: now, FsId: on,
			UsedBytes:  &runtimeapi.UInt64Value{Value: bytes},
			InodesUsed: &runtimeapi.UInt64Value{Value: inodes},
		}},
	}, nil
}
