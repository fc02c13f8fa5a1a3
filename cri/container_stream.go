package cri

import (
	"context"
	"fmt"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mascri/mascri/cri/docker"
	"github.com/mascri/mascri/cri/stream"
)

// ExecSync runs a command in a container and returns its output. At the timeout
// the command is killed with all that it started.
func (c *containers) ExecSync(ctx context.Context, r *runtimeapi.ExecSyncRequest) (*runtimeapi.ExecSyncResponse, error) {
	if len(r.GetCmd()) == 0 {
		return nil, invalid("cmd", "is empty")
	}
	if r.GetTimeout() < 0 {
		return nil, invalid("timeout", "is %d seconds", r.GetTimeout())
	}
	w, err := c.findRunning(ctx, r.GetContainerId())
	if err != nil {
		return nil, err
	}
	timeout := min(time.Duration(min(r.GetTimeout(), int64(maxGrace/time.Second)))*time.Second, maxGrace)
	result, err := stream.ExecSync(ctx, sessions{c}, w.ID, r.GetCmd(), timeout)
	if err != nil {
		return nil, err
	}
	return &runtimeapi.ExecSyncResponse{Stdout: result.Stdout, Stderr: result.Stderr, ExitCode: int32(result.ExitCode)}, nil
}

// Exec answers a URL that runs a command when it is opened.
func (c *containers) Exec(ctx context.Context, r *runtimeapi.ExecRequest) (*runtimeapi.ExecResponse, error) {
	w, err := c.findRunning(ctx, r.GetContainerId())
	if err != nil {
		return nil, err
	}
	r.ContainerId = w.ID
	return c.stream.Exec(r)
}

// Attach answers a URL that joins the streams of the container's first process.
func (c *containers) Attach(ctx context.Context, r *runtimeapi.AttachRequest) (*runtimeapi.AttachResponse, error) {
	w, err := c.findRunning(ctx, r.GetContainerId())
	if err != nil {
		return nil, err
	}
	r.ContainerId = w.ID
	return c.stream.Attach(r)
}

// PortForward answers a URL that reaches ports on the pod's loopback.
func (c *containers) PortForward(ctx context.Context, r *runtimeapi.PortForwardRequest) (*runtimeapi.PortForwardResponse, error) {
	if c.config.RemoteEngine {
		return nil, unsupported("portforward", "the pod's network namespace is on another machine")
	}
	sandbox, err := c.find(ctx, r.GetPodSandboxId())
	if err != nil {
		return nil, err
	}
	if sandbox.state != docker.Running {
		return nil, fmt.Errorf("sandbox %s: %w", short(sandbox.id), docker.ErrNotRunning)
	}
	r.PodSandboxId = sandbox.id
	return c.stream.PortForward(r)
}

// findRunning finds a container that a command can be run in.
func (c *containers) findRunning(ctx context.Context, id string) (workload, error) {
	w, err := c.findContainer(ctx, id)
	if err == nil && w.State != docker.Running {
		return workload{}, fmt.Errorf("container %s is %s: %w", short(w.ID), w.State, docker.ErrNotRunning)
	}
	return w, err
}

// sessions is the engine as the streaming server wants it.
type sessions struct{ *containers }

// process is a command in a container, in the streaming server's words.
type process struct{ *docker.Process }

func (p process) State(ctx context.Context) (stream.State, error) {
	state, err := p.Process.State(ctx)
	return stream.State(state), err
}

// Exec starts a command.
func (s sessions) Exec(ctx context.Context, id string, command stream.Command) (stream.Process, error) {
	started, err := s.engine.Exec(ctx, id, docker.Command{Args: command.Args, Streams: dockerStreams(command.Streams)})
	if err != nil {
		return nil, err
	}
	return process{started}, nil
}

// Attach joins a container's streams.
func (s sessions) Attach(ctx context.Context, id string, streams stream.Streams) (stream.Session, error) {
	session, err := s.engine.Attach(ctx, id, dockerStreams(streams))
	if err != nil {
		return nil, err
	}
	return session, nil
}

// NetNS is the path of a sandbox's network namespace; "" is the host's.
func (s sessions) NetNS(ctx context.Context, id string) (string, error) {
	container, err := s.inspect(ctx, id)
	if err != nil {
		return "", err
	}
	sandbox, err := s.decode(container)
	if err != nil || sandbox.onHostNetwork() {
		return "", err
	}
	return container.NetNS()
}

func dockerStreams(s stream.Streams) docker.Streams {
	return docker.Streams{Stdin: s.Stdin, Stdout: s.Stdout, Stderr: s.Stderr, Terminal: s.TTY}
}
