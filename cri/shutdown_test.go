//go:build linux

package cri

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// A stoppable is a bench's server once more, on a socket of its own, that a test
// tells to stop.
type stoppable struct {
	*bench
	runtime runtimeapi.RuntimeServiceClient
	health  healthpb.HealthClient
	stop    context.CancelFunc
	served  chan error
}

func newStoppable(t *testing.T) *stoppable {
	t.Helper()
	s := &stoppable{bench: newBench(t), served: make(chan error, 1)}
	path := filepath.Join(t.TempDir(), "s")
	listener := listenOn(t, path)
	ctx, stop := context.WithCancel(t.Context())
	s.stop = stop
	go func() { s.served <- s.server.Serve(ctx, listener) }()
	connection, err := grpc.NewClient("unix://"+path, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() }) // nothing is buffered
	s.runtime, s.health = runtimeapi.NewRuntimeServiceClient(connection), healthpb.NewHealthClient(connection)
	return s
}

// holdCreate has the next create wait, and returns how to tell that it has
// begun and how to let it go on.
func (s *stoppable) holdCreate() (begun chan struct{}, release chan struct{}) {
	begun, release = make(chan struct{}), make(chan struct{})
	now := s.server.now
	s.server.now = func() time.Time { // RunPodSandbox asks once, before the create
		close(begun)
		<-release
		return now()
	}
	return begun, release
}

func (s *stoppable) runInBackground() chan error {
	ended := make(chan error, 1)
	go func() {
		_, err := s.runtime.RunPodSandbox(s.t.Context(), &runtimeapi.RunPodSandboxRequest{Config: goodPod("web")})
		ended <- err
	}()
	return ended
}

// A call that is under way when the daemon has to stop is finished.
func TestStopFinishesCalls(t *testing.T) {
	s := newStoppable(t)
	begun, release := s.holdCreate()
	ended := s.runInBackground()
	<-begun
	s.stop()
	select {
	case err := <-s.served:
		t.Errorf("the server ended under a call: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	close(release)
	if err := <-ended; err != nil {
		t.Errorf("the call that was under way: %v", err)
	}
	if err := <-s.served; err != nil {
		t.Error(err)
	}
}

// What takes too long is cut off, and undone before the daemon ends.
func TestStopHasABound(t *testing.T) {
	s := newStoppable(t)
	s.server.config.ShutdownGrace = 50 * time.Millisecond
	begun, release := s.holdCreate()
	ended := s.runInBackground()
	<-begun
	s.stop()
	if err := <-ended; status.Code(err) != codes.Unavailable {
		t.Errorf("the call that was cut off: %v, want Unavailable", err)
	}
	select {
	case err := <-s.served:
		close(release)
		t.Fatalf("the server ended before the call was undone: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	close(release)
	if err := <-s.served; err != nil {
		t.Error(err)
	}
	if err := s.left(); err != nil {
		t.Error(err)
	}
}

// A call that does not even end when it is cut off is left to the next start.
func TestStopGivesUp(t *testing.T) {
	s := newStoppable(t)
	s.server.config.ShutdownGrace, s.server.undoGrace = 50*time.Millisecond, 50*time.Millisecond
	begun, release := s.holdCreate()
	defer close(release)
	s.runInBackground()
	<-begun
	s.stop()
	if err := <-s.served; err != nil {
		t.Error(err)
	}
}

// Streams that would go on for ever do not keep the daemon.
func TestStopEndsStreams(t *testing.T) {
	s := newStoppable(t)
	if answer, err := s.health.Check(t.Context(), &healthpb.HealthCheckRequest{}); err != nil || answer.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("health %v, %v", answer, err)
	}
	watch, err := s.health.Watch(t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := watch.Recv(); err != nil { // the stream is up
		t.Fatal(err)
	}
	s.stop()
	for err == nil {
		_, err = watch.Recv()
	}
	if status.Code(err) != codes.Unavailable || strings.Contains(status.Convert(err).Message(), "rpc error") {
		t.Errorf("the stream ended with %v, want Unavailable", err)
	}
	if err := <-s.served; err != nil {
		t.Error(err)
	}
}
