//go:build linux

package cri

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mascri/mascri/cri/docker"
	"github.com/mascri/mascri/spec"
)

func TestSandboxLifecycle(t *testing.T) {
	b := newBench(t)
	id := b.mustRun(goodPod("web"))
	answer, err := b.PodSandboxStatus(t.Context(), &runtimeapi.PodSandboxStatusRequest{PodSandboxId: id, Verbose: true})
	if err != nil {
		t.Fatal(err)
	}
	got := answer.GetStatus()
	if got.GetState() != runtimeapi.PodSandboxState_SANDBOX_READY || got.GetNetwork().GetIp() != "10.22.0.5" ||
		got.GetNetwork().GetAdditionalIps()[0].GetIp() != "fd00::5" || got.GetLabels()["app"] != "web" {
		t.Errorf("status %v", got)
	}
	var steps []spec.Step
	if err := json.Unmarshal([]byte(answer.GetInfo()["trace"]), &steps); err != nil || len(steps) < 4 {
		t.Errorf("trace %q: %v", answer.GetInfo()["trace"], err)
	}
	text, err := os.ReadFile(b.engine.resolvConf)
	if want := "search ns.svc\nnameserver 10.0.0.10\noptions ndots:5\n"; err != nil || string(text) != want {
		t.Errorf("resolv.conf %q, want %q: %v", text, want, err)
	}
	for range 2 { // each call may be repeated
		if err := b.stop(id); err != nil {
			t.Error(err)
		}
	}
	if state := b.state(id); state != runtimeapi.PodSandboxState_SANDBOX_NOTREADY {
		t.Errorf("%s after StopPodSandbox", state)
	}
	for range 2 {
		if err := b.remove(id); err != nil {
			t.Error(err)
		}
	}
	if err := b.left(); err != nil {
		t.Error(err)
	}
}

// Whichever step of RunPodSandbox fails, and also when only its answer got
// lost, the error says so and nothing is left.
func TestRunFailsAtEachStep(t *testing.T) {
	steps := []struct {
		call    string
		network bool
	}{
		{"prepare", true}, {"create", false}, {"create!", false}, {"start", false}, {"start!", false},
		{"inspect", false}, {"set up", true}, {"set up!", true},
	}
	for _, step := range steps {
		t.Run(step.call, func(t *testing.T) {
			b := newBench(t)
			faults := &b.engine.faults
			if step.network {
				faults = &b.network.faults
			}
			faults.fail(step.call, errInjected)
			_, err := b.run(goodPod("web"))
			if err == nil || !strings.Contains(err.Error(), "injected") || !strings.Contains(err.Error(), "pod ns/web") {
				t.Errorf("RunPodSandbox = %v, want the injected error with the pod's name", err)
			}
			if err := b.left(); err != nil {
				t.Error(err)
			}
			if err := b.remove(b.mustRun(goodPod("web"))); err != nil {
				t.Errorf("the same pod cannot be run afterwards: %v", err)
			}
		})
	}
	t.Run("resolv.conf", func(t *testing.T) {
		b := newBench(t)
		b.engine.resolvConf = "/nonexistent/resolv.conf"
		if _, err := b.run(goodPod("web")); err == nil || !strings.Contains(err.Error(), "DNS settings") {
			t.Errorf("RunPodSandbox = %v", err)
		}
		if err := b.left(); err != nil {
			t.Error(err)
		}
	})
}

// A caller that goes away in the middle leaves nothing behind: undoing goes on
// without it.
func TestCancelledRunIsUndone(t *testing.T) {
	b := newBench(t)
	ctx, cancel := context.WithCancel(t.Context())
	b.server.config.OnStep = func(step spec.Step) {
		if strings.HasPrefix(step.Command, "docker start") {
			cancel()
		}
	}
	if _, err := b.server.RunPodSandbox(ctx, &runtimeapi.RunPodSandboxRequest{Config: goodPod("web")}); !errors.Is(err, context.Canceled) {
		t.Errorf("RunPodSandbox = %v, want a cancellation", err)
	}
	if err := b.left(); err != nil {
		t.Error(err)
	}
}

// When undoing fails, what is left is a sandbox that is not ready and can be
// removed as any other.
func TestUndoThatFails(t *testing.T) {
	b := newBench(t)
	b.network.fail("set up", errInjected)
	b.network.fail("tear down", errors.New("undo injected"))
	_, err := b.run(goodPod("web"))
	if err == nil || !strings.Contains(err.Error(), "undo injected") {
		t.Errorf("RunPodSandbox = %v, want both errors", err)
	}
	list, err := b.ListPodSandbox(t.Context(), &runtimeapi.ListPodSandboxRequest{})
	if err != nil || len(list.GetItems()) != 1 || list.GetItems()[0].GetState() != runtimeapi.PodSandboxState_SANDBOX_NOTREADY {
		t.Fatalf("list %v, %v", list, err)
	}
	if err := b.remove(list.GetItems()[0].GetId()); err != nil {
		t.Error(err)
	}
	if err := b.left(); err != nil {
		t.Error(err)
	}
}

// Whichever step of StopPodSandbox or RemovePodSandbox fails, the call says so,
// the pod is not ready, and the next call finishes it.
func TestStopAndRemoveFailAtEachStep(t *testing.T) {
	steps := map[string]bool{ // true: a call to the network
		"list container": false, "tear down": true, "tear down!": true, "kill": false, "kill!": false, "remove": false,
	}
	for call, network := range steps {
		for _, verb := range []string{"stop", "remove"} {
			if call == "remove" && verb == "stop" {
				continue
			}
			t.Run(verb+" "+call, func(t *testing.T) {
				b := newBench(t)
				id := b.mustRun(goodPod("web"))
				faults := &b.engine.faults
				if network {
					faults = &b.network.faults
				}
				faults.fail(call, errInjected)
				do := b.stop
				if verb == "remove" {
					do = b.remove
				}
				if err := do(id); err == nil || !strings.Contains(err.Error(), "injected") {
					t.Errorf("%s = %v, want the injected error", verb, err)
				}
				if err := b.remove(id); err != nil {
					t.Errorf("the next attempt: %v", err)
				}
				if err := b.left(); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// A network that cannot be torn down does not keep the pod's processes alive.
func TestStopEndsProcessesAlsoWithoutNetwork(t *testing.T) {
	b := newBench(t)
	id := b.mustRun(goodPod("web"))
	b.network.fail("tear down", errInjected)
	if err := b.stop(id); err == nil {
		t.Error("StopPodSandbox hides that the network could not be torn down")
	}
	if c, _ := b.engine.Engine.Inspect(t.Context(), id); c.State != docker.Exited {
		t.Errorf("the sandbox is %s", c.State)
	}
}

// The workload ends with its pod, also where the engine would let it run on.
func TestStopKillsWorkload(t *testing.T) {
	b := newBench(t)
	id := b.mustRun(goodPod("web"))
	b.engine.workload = []docker.Container{
		{ID: "one", State: docker.Running, Labels: map[string]string{labelSandbox: id}},
		{ID: "other", State: docker.Running, Labels: map[string]string{labelSandbox: "other"}},
	}
	if err := b.stop(id); err != nil {
		t.Fatal(err)
	}
	kills := 0
	for _, call := range b.engine.calls {
		if call == "kill" {
			kills++
		}
	}
	if kills != 2 {
		t.Errorf("%d containers were killed, want the pod's one and its sandbox", kills)
	}
}

func TestSamePodTwice(t *testing.T) {
	b := newBench(t)
	id := b.mustRun(goodPod("web"))
	_, err := b.run(goodPod("web"))
	if status.Code(err) != codes.AlreadyExists || !strings.Contains(err.Error(), id) {
		t.Errorf("the second RunPodSandbox = %v, want AlreadyExists with the ID %s", err, id)
	}
	if state := b.state(id); state != runtimeapi.PodSandboxState_SANDBOX_READY {
		t.Errorf("the first one is %s after that", state)
	}
	again := goodPod("web")
	again.Metadata.Attempt = 1
	b.mustRun(again)
}

func TestHostNetworkSkipsTheNetwork(t *testing.T) {
	b := newBench(t)
	id := b.mustRun(hostNetworkPod("web"))
	if state := b.state(id); state != runtimeapi.PodSandboxState_SANDBOX_READY {
		t.Errorf("state %s", state)
	}
	if err := errors.Join(b.stop(id), b.remove(id), b.left()); err != nil {
		t.Error(err)
	}
	if len(b.network.calls) > 0 {
		t.Errorf("the network was called: %v", b.network.calls)
	}
}

func TestUnknownSandbox(t *testing.T) {
	b := newBench(t)
	for _, id := range []string{"0123456789ab", "no/path", "..", strings.Repeat("x", 5000)} {
		if err := errors.Join(b.stop(id), b.remove(id)); err != nil {
			t.Errorf("%.20s: %v", id, err)
		}
		_, err := b.PodSandboxStatus(t.Context(), &runtimeapi.PodSandboxStatusRequest{PodSandboxId: id})
		if status.Code(err) != codes.NotFound {
			t.Errorf("status of %.20s: %v, want NotFound", id, err)
		}
	}
	for _, err := range []error{b.stop(""), b.remove("")} {
		if status.Code(err) != codes.InvalidArgument {
			t.Errorf("an empty ID: %v, want InvalidArgument", err)
		}
	}
}

// A container of somebody else is not a sandbox, whatever its ID is.
func TestForeignContainerIsLeftAlone(t *testing.T) {
	b := newBench(t)
	id, err := b.engine.Engine.CreateSandbox(t.Context(), docker.SandboxSpec{Name: "foreign"})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.remove(id); err != nil {
		t.Error(err)
	}
	if _, err := b.engine.Engine.Inspect(t.Context(), id); err != nil {
		t.Errorf("it was removed: %v", err)
	}
}

func TestListFilters(t *testing.T) {
	b := newBench(t)
	one, two := b.mustRun(goodPod("one")), b.mustRun(goodPod("two"))
	if err := b.stop(two); err != nil {
		t.Fatal(err)
	}
	ready := &runtimeapi.PodSandboxStateValue{State: runtimeapi.PodSandboxState_SANDBOX_READY}
	notReady := &runtimeapi.PodSandboxStateValue{State: runtimeapi.PodSandboxState_SANDBOX_NOTREADY}
	for name, c := range map[string]struct {
		filter *runtimeapi.PodSandboxFilter
		want   []string
	}{
		"none":                {nil, []string{two, one}},
		"empty":               {&runtimeapi.PodSandboxFilter{}, []string{two, one}},
		"ID":                  {&runtimeapi.PodSandboxFilter{Id: one}, []string{one}},
		"beginning of an ID":  {&runtimeapi.PodSandboxFilter{Id: one[:13]}, []string{one}},
		"unknown ID":          {&runtimeapi.PodSandboxFilter{Id: "zz"}, nil},
		"ready":               {&runtimeapi.PodSandboxFilter{State: ready}, []string{one}},
		"not ready":           {&runtimeapi.PodSandboxFilter{State: notReady}, []string{two}},
		"label":               {&runtimeapi.PodSandboxFilter{LabelSelector: map[string]string{"app": "two"}}, []string{two}},
		"label's other value": {&runtimeapi.PodSandboxFilter{LabelSelector: map[string]string{"app": "three"}}, nil},
		"absent label, empty": {&runtimeapi.PodSandboxFilter{LabelSelector: map[string]string{"x": ""}}, nil},
		"ID and state":        {&runtimeapi.PodSandboxFilter{Id: one, State: notReady}, nil},
	} {
		answer, err := b.ListPodSandbox(t.Context(), &runtimeapi.ListPodSandboxRequest{Filter: c.filter})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var got []string
		for _, item := range answer.GetItems() {
			got = append(got, item.GetId())
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %d sandboxes %v, want %v", name, len(got), got, c.want)
		}
	}
}

// A network that cannot be torn down for long does not keep a pod from ending:
// its DEL is owed from then on.
func TestTeardownThatNeverWorks(t *testing.T) {
	b := newBench(t)
	id := b.mustRun(goodPod("web"))
	begin := time.Now()
	for _, c := range []struct {
		after time.Duration
		owed  bool
	}{{0, false}, {teardownPatience - time.Second, false}, {teardownPatience, true}} {
		b.server.now = func() time.Time { return begin.Add(c.after) }
		b.network.fail("tear down", errInjected)
		if err := b.stop(id); (err == nil) != c.owed {
			t.Errorf("after %s: %v", c.after, err)
		}
		if got := slices.Contains(b.network.calls, "owe "+id); got != c.owed {
			t.Errorf("after %s: owed is %v", c.after, got)
		}
	}
}
