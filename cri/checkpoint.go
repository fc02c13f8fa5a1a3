package cri

import (
	"context"
	"fmt"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mascri/mascri/cri/docker"
)

// errNoCheckpoint: Docker's checkpoints (docs.docker.com/reference/cli/docker/checkpoint)
// stay with the engine and with the container they were made of; the CRI's are
// archives for another container, on another node perhaps.
var errNoCheckpoint = fmt.Errorf("%w: Docker makes no archive of a running container and creates none from one; move the pod by creating it anew", docker.ErrUnsupported)

// CheckpointContainer answers Unimplemented.
func (s *Server) CheckpointContainer(context.Context, *runtimeapi.CheckpointContainerRequest) (*runtimeapi.CheckpointContainerResponse, error) {
	return nil, fmt.Errorf("checkpoint a container: %w", errNoCheckpoint)
}

// CheckpointPod answers Unimplemented.
func (s *Server) CheckpointPod(context.Context, *runtimeapi.CheckpointPodRequest) (*runtimeapi.CheckpointPodResponse, error) {
	return nil, fmt.Errorf("checkpoint a pod: %w", errNoCheckpoint)
}

// RestorePod answers Unimplemented.
func (s *Server) RestorePod(context.Context, *runtimeapi.RestorePodRequest) (*runtimeapi.RestorePodResponse, error) {
	return nil, fmt.Errorf("restore a pod: %w", errNoCheckpoint)
}
