package cri

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"google.golang.org/grpc"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// ListContainers lists the containers that match the filter, the newest first.
func (c *containers) ListContainers(ctx context.Context, r *runtimeapi.ListContainersRequest) (*runtimeapi.ListContainersResponse, error) {
	answer := &runtimeapi.ListContainersResponse{}
	err := c.listed.answer(c.Server, answer, r.GetFilter(), func() (err error) {
		answer.Containers, err = c.list(ctx, r.GetFilter())
		return err
	})
	return answer, err
}

func (c *containers) list(ctx context.Context, filter *runtimeapi.ContainerFilter) ([]*runtimeapi.Container, error) {
	all, err := c.workloads(ctx)
	if err != nil {
		return nil, err
	}
	var list []*runtimeapi.Container
	for _, w := range all {
		item := &runtimeapi.Container{
			Id:           w.ID,
			PodSandboxId: w.sandbox,
			Metadata:     w.config.GetMetadata(),
			Image:        w.image(),
			ImageId:      w.ImageID,
			ImageRef:     w.imageRef(),
			State:        w.criState(),
			CreatedAt:    w.created.UnixNano(),
			Labels:       w.config.GetLabels(),
			Annotations:  w.config.GetAnnotations(),
		}
		if containerMatches(item, filter) {
			list = append(list, item)
		}
	}
	slices.SortStableFunc(list, func(a, b *runtimeapi.Container) int { return cmp.Compare(b.CreatedAt, a.CreatedAt) })
	return list, nil
}

// workloads lists all containers of ours. One whose labels cannot be read is
// left out, and spoken of: it must not hide the others.
func (c *containers) workloads(ctx context.Context) ([]workload, error) {
	found, err := c.engine.List(ctx, map[string]string{labelKind: kindContainer})
	if err != nil {
		return nil, err
	}
	all, ids := make([]workload, 0, len(found)), make([]string, 0, len(found))
	for _, one := range found {
		ids = append(ids, one.ID)
		w, err := c.decodeWorkload(one)
		if err != nil {
			c.log.Error("left out a container that cannot be read; remove it with docker rm", "error", err)
			continue
		}
		all = append(all, w)
	}
	c.written.keep(ids)
	return all, nil
}

// containerMatches tells whether a container passes the filter; every part that
// is set has to. IDs are matched by their beginning, as people type them.
func containerMatches(item *runtimeapi.Container, filter *runtimeapi.ContainerFilter) bool {
	if !strings.HasPrefix(item.Id, filter.GetId()) || !strings.HasPrefix(item.PodSandboxId, filter.GetPodSandboxId()) {
		return false
	}
	if state := filter.GetState(); state != nil && state.State != item.State {
		return false
	}
	return hasLabels(item.Labels, filter.GetLabelSelector())
}

func hasLabels(labels, wanted map[string]string) bool {
	for key, value := range wanted {
		if got, ok := labels[key]; !ok || got != value {
			return false
		}
	}
	return true
}

// chunkSize is how many objects go into one message of a Stream call; the
// largest, a container with its annotations, leaves room below maxMessage.
const chunkSize = 64

// sendChunks sends a list in messages of chunkSize objects; of an empty list,
// none.
func sendChunks[T any](list []T, send func([]T) error) error {
	for part := range slices.Chunk(list, chunkSize) {
		if err := send(part); err != nil {
			return err
		}
	}
	return nil
}

// StreamContainers is ListContainers in messages that stay small.
func (c *containers) StreamContainers(r *runtimeapi.StreamContainersRequest, out grpc.ServerStreamingServer[runtimeapi.StreamContainersResponse]) error {
	list, err := c.list(out.Context(), r.GetFilter())
	if err != nil {
		return err
	}
	return sendChunks(list, func(part []*runtimeapi.Container) error {
		return out.Send(&runtimeapi.StreamContainersResponse{Containers: part})
	})
}

// StreamPodSandboxes is ListPodSandbox in messages that stay small.
func (c *containers) StreamPodSandboxes(r *runtimeapi.StreamPodSandboxesRequest, out grpc.ServerStreamingServer[runtimeapi.StreamPodSandboxesResponse]) error {
	list, err := c.listSandboxes(out.Context(), r.GetFilter())
	if err != nil {
		return err
	}
	return sendChunks(list, func(part []*runtimeapi.PodSandbox) error {
		return out.Send(&runtimeapi.StreamPodSandboxesResponse{PodSandboxes: part})
	})
}
