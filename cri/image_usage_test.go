//go:build linux

package cri

import (
	"context"
	"testing"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

type noLayers struct{}

func (noLayers) writableLayers(context.Context) (bytes, inodes uint64, err error) { return 0, 0, nil }

// The room that images take is the layers', else the images' own sizes added up,
// which are remembered: the kubelet asks every few seconds.
func TestImageUsage(t *testing.T) {
	m, engine := newImageMemoryBench(t)
	s := &images{store: m, layers: noLayers{}}
	engine.image.Size = 7
	used := func() uint64 {
		t.Helper()
		answer, err := s.ImageFsInfo(t.Context(), &runtimeapi.ImageFsInfoRequest{})
		if err != nil {
			t.Fatal(err)
		}
		return answer.GetImageFilesystems()[0].GetUsedBytes().GetValue()
	}
	first := used()
	asked := len(engine.calls)
	if again := used(); first != 7 || again != 7 || len(engine.calls) != asked {
		t.Errorf("%d bytes, then %d, with %v asked of the engine", first, again, engine.calls[asked:])
	}
	engine.usage.Known, engine.usage.Bytes = true, 42
	if known := used(); known != 42 {
		t.Errorf("%d bytes where the layers are known, want 42", known)
	}
}
