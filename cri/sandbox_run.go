package cri

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mascri/mascri/cri/docker"
	"github.com/mascri/mascri/cri/docker/pause"
	"github.com/mascri/mascri/cri/podnet"
	"github.com/mascri/mascri/spec"
)

// RunPodSandbox creates and starts a pod's sandbox and puts it on the network.
// When it answers an error, also because the caller went away, nothing is left
// of it. A second call for the same pod and attempt is refused and changes
// nothing.
func (s *Server) RunPodSandbox(ctx context.Context, r *runtimeapi.RunPodSandboxRequest) (*runtimeapi.RunPodSandboxResponse, error) {
	pod, err := parsePod(r)
	if err != nil {
		return nil, err
	}
	release, err := s.names.reserve(pod.containerName())
	if err != nil {
		return nil, err
	}
	defer release()

	ctx, steps := s.traced(ctx)
	var undo undoStack
	id, err := s.runSandbox(ctx, pod, &undo)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("run %s: %w", pod, err), undo.unwind(ctx))
	}
	s.traces.put(id, steps.ordered())
	return &runtimeapi.RunPodSandboxResponse{PodSandboxId: id}, nil
}

// runSandbox is the way from a validated pod to a running, connected sandbox.
// Each step that leaves something behind first says how to take it back.
func (s *Server) runSandbox(ctx context.Context, pod pod, undo *undoStack) (string, error) {
	// Chosen now and kept with the container, so that DEL can always be run
	// with what ADD ran with.
	attachment, err := s.prepareNetwork(ctx, pod)
	if err != nil {
		return "", err
	}
	if err := s.ensureLogDirectory(pod); err != nil {
		return "", err
	}
	id, err := s.createSandbox(ctx, pod, attachment, undo)
	if err != nil {
		return "", err
	}
	if err := s.start(ctx, id); err != nil {
		return "", err
	}
	container, err := s.engine.Inspect(ctx, id)
	if err != nil {
		return "", err
	}
	var result podnet.Result
	if attachment != nil {
		undo.push("take the pod off the network", func(ctx context.Context) error {
			return s.network.TearDownPod(ctx, container.ID, attachment)
		})
		if result, err = s.connect(ctx, container, *attachment); err != nil {
			return "", err
		}
	}
	if err := s.writeResolvConf(ctx, pod, container.ResolvConfPath, result); err != nil {
		return "", err
	}
	// The caller may have gone during a step that does not watch for it.
	return id, ctx.Err()
}

// prepareNetwork decides how the pod will be connected; nil is a pod on the
// host's network.
func (s *Server) prepareNetwork(ctx context.Context, pod pod) (*podnet.Attachment, error) {
	if pod.onHostNetwork() {
		return nil, nil
	}
	attachment, err := s.network.Prepare(ctx, pod.forNetwork())
	if err != nil {
		return nil, fmt.Errorf("choose the network: %w", err)
	}
	return &attachment, nil
}

// createSandbox creates the sandbox's container. The request is not cancelled
// with the caller: an engine that was asked may create the container all the
// same, after we looked for it to remove it.
func (s *Server) createSandbox(ctx context.Context, pod pod, attachment *podnet.Attachment, undo *undoStack) (id string, err error) {
	wanted, err := pod.sandboxSpec(attachment, s.now())
	if err != nil {
		return "", err
	}
	s.loopback6(&wanted)
	err = spec.Do(ctx, "docker", createCommand(wanted), func() error {
		id, err = s.engine.CreateSandbox(context.WithoutCancel(ctx), wanted)
		return err
	})
	if errors.Is(err, docker.ErrConflict) {
		return "", fmt.Errorf("%w: %w (remove it, or run the pod with another attempt)", errExists, err)
	}
	// By name, since an error may hide that the container was created.
	undo.push("remove container "+wanted.Name, func(ctx context.Context) error {
		return ignoreNotFound(s.remove(ctx, wanted.Name))
	})
	if err != nil {
		return "", err
	}
	return id, ctx.Err()
}

func (s *Server) start(ctx context.Context, id string) error {
	return spec.Do(ctx, "docker", "docker start "+short(id), func() error {
		return s.engine.Start(ctx, id)
	})
}

func (s *Server) remove(ctx context.Context, id string) error {
	return spec.Do(ctx, "docker", "docker rm --force "+short(id), func() error {
		return s.engine.Remove(ctx, id)
	})
}

// connect puts the sandbox's namespace on the network.
func (s *Server) connect(ctx context.Context, container docker.Container, a podnet.Attachment) (podnet.Result, error) {
	if s.config.RemoteEngine {
		return s.network.SetUpPod(ctx, container.ID, "", a)
	}
	netns, err := container.NetNS()
	if err != nil {
		return podnet.Result{}, err
	}
	return s.network.SetUpPod(ctx, container.ID, netns, a)
}

// createCommand is the create request as one would type it.
func createCommand(wanted docker.SandboxSpec) string {
	network := wanted.Network
	if network == docker.Private {
		network = "none"
	}
	command := fmt.Sprintf("docker create --name %s --network %s", wanted.Name, network)
	if wanted.Hostname != "" && wanted.Network != docker.Host {
		command += " --hostname " + wanted.Hostname
	}
	return command + " " + pause.Tag
}

// ensureLogDirectory makes the directory that containers of the pod will log
// into. It stays when the call fails: it is the caller's, who named it.
func (s *Server) ensureLogDirectory(pod pod) error {
	dir := pod.config.GetLogDirectory()
	if dir == "" || s.config.RemoteEngine {
		return nil
	}
	err := os.MkdirAll(dir, 0o755)
	if errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ENAMETOOLONG) {
		return &fieldError{"config.log_directory", err}
	}
	if err != nil {
		return fmt.Errorf("make the log_directory: %w", err)
	}
	return nil
}

// short is an ID as people read it.
func short(id string) string {
	const enough = 12
	if len(id) == 64 {
		return id[:enough]
	}
	return id
}

// ignoreNotFound: to remove what is not there is success.
func ignoreNotFound(err error) error {
	if errors.Is(err, docker.ErrNotFound) {
		return nil
	}
	return err
}
