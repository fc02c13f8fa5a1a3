package cri

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mascri/mascri/cri/docker"
	"github.com/mascri/mascri/cri/podnet"
	"github.com/mascri/mascri/spec"
)

// Engine is what this package needs of a Docker engine; *docker.Engine is one.
type Engine interface {
	Version(ctx context.Context) (docker.Version, error)
	Info(ctx context.Context) (docker.Info, error)
	CreateSandbox(ctx context.Context, spec docker.SandboxSpec) (id string, err error)
	Start(ctx context.Context, id string) error
	Kill(ctx context.Context, id, signal string) error
	Remove(ctx context.Context, id string) error
	Inspect(ctx context.Context, id string) (docker.Container, error)
	List(ctx context.Context, labels map[string]string) ([]docker.Container, error)
}

// Network puts pods on a network and takes them off; *podnet.Manager is one.
// The order of calls for a pod is Prepare, before its container exists, then
// SetUpPod, then TearDownPod, which also follows a SetUpPod that did not succeed
// and may be repeated.
type Network interface {
	// Prepare decides what SetUpPod will do, and does nothing.
	Prepare(ctx context.Context, pod podnet.Pod) (podnet.Attachment, error)
	// SetUpPod connects the network namespace at the path netns, of the
	// sandbox with that ID.
	SetUpPod(ctx context.Context, id, netns string, a podnet.Attachment) (podnet.Result, error)
	// Restore makes sure, after a restart, that a pod that is set up can be
	// torn down.
	Restore(ctx context.Context, id, netns string) error
	// TearDownPod undoes SetUpPod; a is nil when it is not known any more.
	TearDownPod(ctx context.Context, id string, a *podnet.Attachment) error
	// Owe writes down that the sandbox has to be torn down later, when nothing
	// else will be known of it any more.
	Owe(id string, a *podnet.Attachment) error
	// Settle tears down what is owed.
	Settle(ctx context.Context) error
	// Result is what SetUpPod answered, or podnet.ErrNotAttached.
	Result(ctx context.Context, id string) (podnet.Result, error)
	// Status is nil when SetUpPod would work, else the reason.
	Status(ctx context.Context) error
	// Describe says more than Status, for a person.
	Describe(ctx context.Context) podnet.Report
	// SetPodCIDRs tells from which prefixes pods are to get addresses.
	SetPodCIDRs(podCIDRs []netip.Prefix) error
	// GC frees what belongs to none of the sandboxes in keep.
	GC(ctx context.Context, keep []string) error
}

// Config holds what is not the engine's or the network's.
type Config struct {
	Version string       // of this program, as semantic version
	Log     *slog.Logger // nil discards

	// RemoteEngine: the engine's files and namespaces are not on this machine.
	// The network must not need them, and pods keep the engine's resolv.conf.
	RemoteEngine bool

	// ShutdownGrace is how long calls under way may take once Serve has to end;
	// 0 is DefaultShutdownGrace.
	ShutdownGrace time.Duration

	// OnCall, if set, is told each call that has ended: the method's name
	// without its service, how long it took, and its error, a gRPC status or
	// nil. It must not block.
	OnCall func(method string, took time.Duration, err error)

	// OnStep, if set, is told each step of RunPodSandbox, StopPodSandbox and
	// RemovePodSandbox when it has ended. It must not block.
	OnStep func(spec.Step)
}

// Server answers the CRI's calls. It is safe for concurrent use.
type Server struct {
	runtimeapi.UnimplementedRuntimeServiceServer

	config  Config
	engine  Engine
	network *countingNetwork
	log     *slog.Logger
	names   reservations
	traces  traces
	stuck   firstFailures
	decoded decoded[sandbox]
	listed  keptList
	now     func() time.Time
	// undoGrace is the constant, so that a test need not wait as long.
	undoGrace time.Duration

	containers *containers // nil: sandboxes only, see EnableContainers
}

// New makes a Server. Call Recover before serving.
func New(config Config, engine Engine, network Network) *Server {
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	if config.OnStep == nil {
		config.OnStep = func(spec.Step) {}
	}
	if config.OnCall == nil {
		config.OnCall = func(string, time.Duration, error) {}
	}
	if config.ShutdownGrace == 0 {
		config.ShutdownGrace = DefaultShutdownGrace
	}
	return &Server{
		config:    config,
		engine:    engine,
		network:   &countingNetwork{Network: network},
		log:       config.Log,
		now:       time.Now,
		undoGrace: undoGrace,
	}
}
