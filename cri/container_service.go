package cri

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"google.golang.org/grpc"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mascri/mascri/cri/docker"
	"github.com/mascri/mascri/cri/logs"
	"github.com/mascri/mascri/cri/stats"
	"github.com/mascri/mascri/cri/stream"
)

// Workload is what this package needs of a Docker engine to run containers in
// sandboxes; *docker.Engine is one.
type Workload interface {
	Engine
	ImageStore
	CreateContainer(ctx context.Context, spec docker.ContainerSpec) (id string, err error)
	Stop(ctx context.Context, id string, grace time.Duration) error
	Update(ctx context.Context, id string, r docker.Resources) error
	Exec(ctx context.Context, id string, command docker.Command) (*docker.Process, error)
	Attach(ctx context.Context, id string, streams docker.Streams) (*docker.Session, error)
	Events(ctx context.Context, since time.Time) (<-chan docker.Event, <-chan error)
	Features() docker.Features
	LookupUser(ctx context.Context, image, name string) (docker.Account, error)
}

// ContainersConfig holds what the container half needs beside the engine.
type ContainersConfig struct {
	// StateDir is where the positions in the containers' logs are kept, in a
	// directory of their own.
	StateDir string
	// Stream is the server of exec, attach and port-forward sessions.
	Stream stream.Config
}

// containers is the whole runtime service: the sandboxes' half, which it
// embeds, and the containers' half. A Server without one answers Unimplemented
// to the calls about containers and images.
type containers struct {
	*Server
	engine *memory
	images *imageMemory     // beneath engine
	logs   *logs.Follower   // nil where the engine's files are on another machine
	stats  *stats.Collector // nil where its control groups are
	stream *stream.Server
	layers layerSizes
	events subscribers
	told   told
	// written is what the labels of workload containers say; Server.decoded is
	// the sandboxes'.
	written decoded[workload]
	listed  keptList

	background context.Context // ends with the daemon
	stop       context.CancelFunc
	running    sync.WaitGroup
}

// EnableContainers makes the server answer the calls about containers and
// images too. Call it before Recover; end what it started with the function it
// returns, after Serve.
func (s *Server) EnableContainers(engine Workload, config ContainersConfig) (end func() error, err error) {
	c := &containers{Server: s, images: newImageMemory(engine)}
	c.engine = newMemory(c.images, !s.config.RemoteEngine)
	c.background, c.stop = context.WithCancel(context.Background())
	if !s.config.RemoteEngine {
		if c.logs, err = logs.New(filepath.Join(config.StateDir, "logs"), s.log); err != nil {
			return nil, fmt.Errorf("follow the containers' logs: %w", err)
		}
		if c.stats, err = stats.New("/"); err != nil {
			return nil, errors.Join(fmt.Errorf("measure containers: %w", err), c.logs.Close())
		}
	}
	config.Stream.Log = s.log
	if c.stream, err = stream.Listen(config.Stream, sessions{c}); err != nil {
		return nil, errors.Join(err, c.closeLogs())
	}
	s.engine, s.containers = c.engine, c
	return c.end, nil
}

// recoverContainers takes the logs up where the last run left them, and begins
// to follow what happens in the engine.
func (c *containers) recoverContainers(ctx context.Context) error {
	err := c.resumeLogs(ctx)
	c.running.Go(func() { c.watch(c.background) })
	if c.stats != nil {
		c.running.Go(func() {
			c.stats.Run(c.background, func() []stats.Pod { return c.sampled(c.background) })
		})
	}
	if err != nil {
		return fmt.Errorf("resume the containers' logs: %w", err)
	}
	return nil
}

// streamGrace is how long sessions may go on when the daemon ends.
const streamGrace = time.Second

func (c *containers) end() error {
	ctx, cancel := context.WithTimeout(context.Background(), streamGrace)
	defer cancel()
	c.stop()
	c.running.Wait()
	return errors.Join(c.stream.Close(ctx), c.closeLogs())
}

func (c *containers) closeLogs() error {
	if c.logs == nil {
		return nil
	}
	return c.logs.Close()
}

// register makes the services known to a gRPC server.
func (s *Server) register(server *grpc.Server) {
	if s.containers == nil {
		runtimeapi.RegisterRuntimeServiceServer(server, s)
		return
	}
	runtimeapi.RegisterRuntimeServiceServer(server, s.containers)
	runtimeapi.RegisterImageServiceServer(server, &images{store: s.containers.engine, layers: s.containers})
}
