package cri

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mascri/mascri/cri/docker"
	"github.com/mascri/mascri/cri/podnet"
)

// PodSandboxStatus tells a sandbox's state and addresses. With verbose, Info has
// "trace": the steps of its creation, a JSON list of spec.Step by start time,
// as long as this process remembers them; and "sandbox": what its container and
// its network are.
func (s *Server) PodSandboxStatus(ctx context.Context, r *runtimeapi.PodSandboxStatusRequest) (*runtimeapi.PodSandboxStatusResponse, error) {
	container, err := s.inspect(ctx, r.GetPodSandboxId())
	if err != nil {
		return nil, err
	}
	sandbox, err := s.decode(container)
	if err != nil {
		return nil, err
	}
	result, err := s.result(ctx, sandbox)
	if err != nil {
		return nil, err
	}
	answer := &runtimeapi.PodSandboxStatusResponse{Status: &runtimeapi.PodSandboxStatus{
		Id:             sandbox.id,
		Metadata:       sandbox.config.GetMetadata(),
		State:          stateOf(sandbox, result),
		CreatedAt:      sandbox.created.UnixNano(),
		Network:        networkStatus(result),
		Linux:          &runtimeapi.LinuxPodSandboxStatus{Namespaces: &runtimeapi.Namespace{Options: sandbox.namespaces()}},
		Labels:         sandbox.config.GetLabels(),
		Annotations:    sandbox.config.GetAnnotations(),
		RuntimeHandler: sandbox.handler,
	}}
	if r.GetVerbose() {
		answer.Info, err = s.sandboxInfo(container, sandbox, result)
	}
	return answer, err
}

// result is what the network gave the sandbox; nil when it is not, or not any
// more, on a network.
func (s *Server) result(ctx context.Context, sandbox sandbox) (*podnet.Result, error) {
	if sandbox.onHostNetwork() {
		return nil, nil
	}
	result, err := s.network.Result(ctx, sandbox.id)
	if errors.Is(err, podnet.ErrNotAttached) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("network of sandbox %s: %w", short(sandbox.id), err)
	}
	return &result, nil
}

// stateOf is READY for a sandbox that containers can be created in: its process
// runs and its network is up. One that is being created is not ready yet, and
// one whose network was taken away never again.
func stateOf(sandbox sandbox, result *podnet.Result) runtimeapi.PodSandboxState {
	connected := sandbox.onHostNetwork() || result != nil
	if sandbox.state == docker.Running && connected {
		return runtimeapi.PodSandboxState_SANDBOX_READY
	}
	return runtimeapi.PodSandboxState_SANDBOX_NOTREADY
}

// networkStatus lists the pod's addresses in the network's order. A pod on the
// host's network has none of its own.
func networkStatus(result *podnet.Result) *runtimeapi.PodSandboxNetworkStatus {
	status := &runtimeapi.PodSandboxNetworkStatus{}
	if result == nil {
		return status
	}
	for i, address := range result.Addresses {
		if i == 0 {
			status.Ip = address.Addr().String()
			continue
		}
		status.AdditionalIps = append(status.AdditionalIps, &runtimeapi.PodIP{Ip: address.Addr().String()})
	}
	return status
}

// sandboxInfo is what a person may want to know beyond the CRI's fields.
func (s *Server) sandboxInfo(container docker.Container, sandbox sandbox, result *podnet.Result) (map[string]string, error) {
	steps, err := json.Marshal(s.traces.get(sandbox.id))
	if err != nil {
		return nil, fmt.Errorf("trace of sandbox %s: %w", short(sandbox.id), err)
	}
	details, err := json.Marshal(map[string]any{
		"name":             container.Name,
		"pid":              container.PID,
		"state":            container.State,
		"exitCode":         container.ExitCode,
		"image":            container.Image,
		"networkNamespace": container.SandboxKey,
		"resolvConf":       container.ResolvConfPath,
		"cgroupParent":     container.CgroupParent,
		"attachment":       sandbox.attachment,
		"network":          result,
	})
	if err != nil {
		return nil, fmt.Errorf("details of sandbox %s: %w", short(sandbox.id), err)
	}
	return map[string]string{"trace": string(steps), "sandbox": string(details)}, nil
}

// ListPodSandbox lists the sandboxes that match the filter, the newest first.
func (s *Server) ListPodSandbox(ctx context.Context, r *runtimeapi.ListPodSandboxRequest) (*runtimeapi.ListPodSandboxResponse, error) {
	answer := &runtimeapi.ListPodSandboxResponse{}
	err := s.listed.answer(s, answer, r.GetFilter(), func() (err error) {
		answer.Items, err = s.listSandboxes(ctx, r.GetFilter())
		return err
	})
	return answer, err
}

func (s *Server) listSandboxes(ctx context.Context, filter *runtimeapi.PodSandboxFilter) ([]*runtimeapi.PodSandbox, error) {
	sandboxes, err := s.sandboxes(ctx)
	if err != nil {
		return nil, err
	}
	var list []*runtimeapi.PodSandbox
	for _, sandbox := range sandboxes {
		result, err := s.result(ctx, sandbox)
		if err != nil {
			return nil, err
		}
		item := &runtimeapi.PodSandbox{
			Id:             sandbox.id,
			Metadata:       sandbox.config.GetMetadata(),
			State:          stateOf(sandbox, result),
			CreatedAt:      sandbox.created.UnixNano(),
			Labels:         sandbox.config.GetLabels(),
			Annotations:    sandbox.config.GetAnnotations(),
			RuntimeHandler: sandbox.handler,
		}
		if matches(item, filter) {
			list = append(list, item)
		}
	}
	slices.SortStableFunc(list, func(a, b *runtimeapi.PodSandbox) int { return cmp.Compare(b.CreatedAt, a.CreatedAt) })
	return list, nil
}

// sandboxes lists all of ours. One whose labels cannot be read is left out, and
// spoken of: it must not hide the others.
func (s *Server) sandboxes(ctx context.Context) ([]sandbox, error) {
	containers, err := s.engine.List(ctx, map[string]string{labelKind: kindSandbox})
	if err != nil {
		return nil, err
	}
	found, ids := make([]sandbox, 0, len(containers)), make([]string, 0, len(containers))
	for _, container := range containers {
		ids = append(ids, container.ID)
		sandbox, err := s.decode(container)
		if err != nil {
			s.log.Error("left out a sandbox that cannot be read; remove it with docker rm", "error", err)
			continue
		}
		found = append(found, sandbox)
	}
	s.decoded.keep(ids)
	return found, nil
}

// matches tells whether a sandbox passes the filter; every part that is set has
// to. An ID is matched by its beginning, as people type it.
func matches(item *runtimeapi.PodSandbox, filter *runtimeapi.PodSandboxFilter) bool {
	if !strings.HasPrefix(item.Id, filter.GetId()) {
		return false
	}
	if state := filter.GetState(); state != nil && state.State != item.State {
		return false
	}
	for key, value := range filter.GetLabelSelector() {
		if got, ok := item.Labels[key]; !ok || got != value {
			return false
		}
	}
	return true
}
