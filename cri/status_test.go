//go:build linux

package cri

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mascri/mascri/cri/docker"
)

func TestVersion(t *testing.T) {
	b := newBench(t)
	answer, err := b.Version(t.Context(), &runtimeapi.VersionRequest{})
	if err != nil || answer.GetRuntimeName() != "mascri" || answer.GetRuntimeVersion() != "1.2.3" || answer.GetRuntimeApiVersion() != "v1" {
		t.Errorf("%v, %v", answer, err)
	}
	for version, want := range map[string]string{"v1.2.3": "1.2.3", "1.2.3-4-gabc": "1.2.3-4-gabc", "abc1234": "0.0.0+abc1234", "unknown": "0.0.0+unknown"} {
		if got := semantic(version); got != want {
			t.Errorf("semantic(%q) = %q, want %q", version, got, want)
		}
	}
}

func TestStatusConditions(t *testing.T) {
	b := newBench(t)
	b.engine.fail("info", docker.ErrUnavailable)
	answer, err := b.Status(t.Context(), &runtimeapi.StatusRequest{Verbose: true})
	if err != nil {
		t.Fatal(err)
	}
	conditions := map[string]*runtimeapi.RuntimeCondition{}
	for _, c := range answer.GetStatus().GetConditions() {
		conditions[c.GetType()] = c
	}
	if c := conditions[runtimeapi.RuntimeReady]; c.GetStatus() || c.GetReason() == "" || !strings.Contains(c.GetMessage(), "unavailable") {
		t.Errorf("with an engine that does not answer: %v", c)
	}
	if c := conditions[runtimeapi.NetworkReady]; !c.GetStatus() {
		t.Errorf("with a network: %v", c)
	}
	if !strings.Contains(answer.GetInfo()["network"], "netplug") {
		t.Errorf("info %v does not name the plugins", answer.GetInfo())
	}
}

// hangingEngine gives no answer before its caller gives up.
type hangingEngine struct{ *fakeEngine }

func (hangingEngine) Info(ctx context.Context) (docker.Info, error) {
	<-ctx.Done()
	return docker.Info{}, ctx.Err()
}

// A caller learns that the engine hangs before its own patience ends.
func TestStatusOfAHangingEngine(t *testing.T) {
	b := newBench(t)
	b.server.engine = hangingEngine{b.engine}
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	answer, err := b.Status(ctx, &runtimeapi.StatusRequest{})
	if err != nil {
		t.Fatal(err)
	}
	ready := answer.GetStatus().GetConditions()[0]
	if ready.GetStatus() || !strings.Contains(ready.GetMessage(), "no answer within") {
		t.Errorf("condition %v", ready)
	}
}

func TestUpdateRuntimeConfig(t *testing.T) {
	b := newBench(t)
	update := func(cidr string) error {
		_, err := b.UpdateRuntimeConfig(t.Context(), &runtimeapi.UpdateRuntimeConfigRequest{
			RuntimeConfig: &runtimeapi.RuntimeConfig{NetworkConfig: &runtimeapi.NetworkConfig{PodCidr: cidr}}})
		return err
	}
	for _, good := range []string{"", "10.1.2.0/24", "10.1.2.0/24,fd00:1::/64"} {
		if err := update(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"10.1.2.0", "10.1.2.1/24", "10.1.0.0/16,10.2.0.0/16", ","} {
		if err := update(bad); status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "pod_cidr") {
			t.Errorf("%q: %v, want InvalidArgument naming pod_cidr", bad, err)
		}
	}
	if _, err := b.RuntimeConfig(t.Context(), &runtimeapi.RuntimeConfigRequest{}); err != nil {
		t.Error(err)
	}
}

// A defect in one call ends that call, not the server.
func TestPanicIsAnError(t *testing.T) {
	b := newBench(t)
	b.server.now = nil // RunPodSandbox calls it
	if _, err := b.run(goodPod("web")); status.Code(err) != codes.Internal {
		t.Errorf("RunPodSandbox = %v, want Internal", err)
	}
	if _, err := b.Version(t.Context(), &runtimeapi.VersionRequest{}); err != nil {
		t.Errorf("the server after a panic: %v", err)
	}
}

func TestEngineErrorsHaveCodes(t *testing.T) {
	for err, want := range map[error]codes.Code{
		docker.ErrUnavailable: codes.Unavailable,
		docker.ErrInvalid:     codes.InvalidArgument,
		docker.ErrUnsupported: codes.Unimplemented,
		docker.ErrConflict:    codes.AlreadyExists, // of the name, at create
		docker.ErrInUse:       codes.FailedPrecondition,
		docker.ErrEngine:      codes.Internal,
		errors.New("other"):   codes.Unknown,
	} {
		b := newBench(t)
		b.engine.fail("create", err)
		if _, got := b.run(goodPod("web")); status.Code(got) != want {
			t.Errorf("%v at create: %v, want %v", err, got, want)
		}
	}
}
