package cri

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mascri/mascri/cri/docker"
	"github.com/mascri/mascri/cri/podnet"
)

// runtimeName is how this runtime calls itself: nodes show it as
// "mascri://0.1.0".
const runtimeName = "mascri"

// criVersion is the version of the API.
const criVersion = "v1"

// Version names this runtime and its version.
func (s *Server) Version(context.Context, *runtimeapi.VersionRequest) (*runtimeapi.VersionResponse, error) {
	return &runtimeapi.VersionResponse{
		Version:           "0.1.0", // of the kubelet's runtime API, the same since it was written down
		RuntimeName:       runtimeName,
		RuntimeVersion:    semantic(s.config.Version),
		RuntimeApiVersion: criVersion,
	}, nil
}

// semanticVersion is the beginning of a semantic version, which is all that the
// kubelet accepts.
var semanticVersion = regexp.MustCompile(`^v?[0-9]+\.[0-9]+\.[0-9]+`)

// semantic makes a version that the kubelet can parse of one that a build from
// an untagged tree has, such as a commit's hash.
func semantic(version string) string {
	if semanticVersion.MatchString(version) {
		return strings.TrimPrefix(version, "v")
	}
	return "0.0.0+" + version
}

// Status tells whether pods can be run now: RuntimeReady is that the engine
// answers, NetworkReady that the CNI plugins say they could serve an ADD. With
// verbose, Info has "network", a podnet.Report, and "engine".
func (s *Server) Status(ctx context.Context, r *runtimeapi.StatusRequest) (*runtimeapi.StatusResponse, error) {
	info, engine, network := s.askBoth(ctx)
	answer := &runtimeapi.StatusResponse{
		Status: &runtimeapi.RuntimeStatus{Conditions: []*runtimeapi.RuntimeCondition{
			condition(runtimeapi.RuntimeReady, "EngineNotReady", engine),
			condition(runtimeapi.NetworkReady, "NetworkPluginNotReady", network),
		}},
		RuntimeHandlers: handlers(info),
		Features:        &runtimeapi.RuntimeFeatures{SupplementalGroupsPolicy: s.containers != nil},
	}
	if !r.GetVerbose() {
		return answer, nil
	}
	var err error
	answer.Info, err = s.statusInfo(ctx, info)
	return answer, err
}

// statusPatience is the longest that an answer about the engine or the network
// is waited for. Docker takes seconds for its facts on a loaded machine.
const statusPatience = 10 * time.Second

// askBoth asks the engine and the network at the same time, and gives up a
// little before the caller does: "it hangs" is an answer too. The engine is asked
// for its facts anew each time: that takes it 10 ms of the 5 s until the kubelet
// asks again, and one that hangs may still answer a ping.
func (s *Server) askBoth(ctx context.Context) (info docker.Info, engine, network error) {
	patience := statusPatience
	if deadline, ok := ctx.Deadline(); ok {
		patience = min(patience, time.Until(deadline)*4/5)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var both sync.WaitGroup
	both.Go(func() { info, engine = s.engine.Info(ctx) })
	both.Go(func() { network = s.network.Status(ctx) })
	both.Wait()
	if errors.Is(engine, context.DeadlineExceeded) {
		engine = fmt.Errorf("the engine gave no answer within %s; it is overloaded, or hangs: %w", patience.Round(time.Millisecond), engine)
	}
	return info, engine, network
}

// condition is true without an error; the reason is for programs, the message
// for people.
func condition(name, reason string, err error) *runtimeapi.RuntimeCondition {
	if err == nil {
		return &runtimeapi.RuntimeCondition{Type: name, Status: true}
	}
	return &runtimeapi.RuntimeCondition{Type: name, Reason: reason, Message: err.Error()}
}

// handlers lists the engine's OCI runtimes. The one without a name is that of
// pods that ask for none. User namespaces are not announced: Docker has none a
// container.
func handlers(info docker.Info) []*runtimeapi.RuntimeHandler {
	var list []*runtimeapi.RuntimeHandler
	for _, r := range info.Runtimes {
		features := &runtimeapi.RuntimeHandlerFeatures{RecursiveReadOnlyMounts: r.RecursiveReadOnly}
		list = append(list, &runtimeapi.RuntimeHandler{Name: r.Name, Features: features})
		if r.Name == info.DefaultRuntime {
			list = append(list, &runtimeapi.RuntimeHandler{Features: features})
		}
	}
	return list
}

func (s *Server) statusInfo(ctx context.Context, info docker.Info) (map[string]string, error) {
	// An engine that does not answer is in the conditions already.
	version, _ := s.engine.Version(ctx)
	network, err := json.Marshal(s.network.Describe(ctx))
	if err != nil {
		return nil, fmt.Errorf("describe the network: %w", err)
	}
	engine, err := json.Marshal(map[string]any{
		"version":       version.Engine,
		"api":           version.API,
		"cgroupDriver":  info.CgroupDriver,
		"cgroupVersion": info.CgroupVersion,
		"dataRoot":      info.DataRoot,
		"storageDriver": info.StorageDriver,
		"liveRestore":   info.LiveRestore,
	})
	if err != nil {
		return nil, fmt.Errorf("describe the engine: %w", err)
	}
	return map[string]string{"network": string(network), "engine": string(engine)}, nil
}

// RuntimeConfig tells the kubelet which cgroup driver the engine uses, so that
// both manage one tree.
func (s *Server) RuntimeConfig(ctx context.Context, _ *runtimeapi.RuntimeConfigRequest) (*runtimeapi.RuntimeConfigResponse, error) {
	info, err := s.engine.Info(ctx)
	if err != nil {
		return nil, err
	}
	driver := runtimeapi.CgroupDriver_CGROUPFS
	if info.CgroupDriver == "systemd" {
		driver = runtimeapi.CgroupDriver_SYSTEMD
	}
	return &runtimeapi.RuntimeConfigResponse{Linux: &runtimeapi.LinuxRuntimeConfiguration{CgroupDriver: driver}}, nil
}

// UpdateRuntimeConfig takes the node's pod CIDRs, one or one of each family;
// they hold for pods from now on, also after a restart. A request without a
// CIDR changes nothing.
func (s *Server) UpdateRuntimeConfig(_ context.Context, r *runtimeapi.UpdateRuntimeConfigRequest) (*runtimeapi.UpdateRuntimeConfigResponse, error) {
	text := r.GetRuntimeConfig().GetNetworkConfig().GetPodCidr()
	if text == "" {
		return &runtimeapi.UpdateRuntimeConfigResponse{}, nil
	}
	podCIDRs, err := podnet.ParsePodCIDRs(text)
	if err != nil {
		return nil, &fieldError{"runtime_config.network_config.pod_cidr", err}
	}
	if err := s.network.SetPodCIDRs(podCIDRs); err != nil {
		return nil, err
	}
	return &runtimeapi.UpdateRuntimeConfigResponse{}, nil
}
