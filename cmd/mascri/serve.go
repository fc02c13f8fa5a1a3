package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/mascri/mascri/cmd/mascri/preview"
	"github.com/mascri/mascri/cri"
	"github.com/mascri/mascri/cri/docker"
	"github.com/mascri/mascri/cri/dryrun"
	"github.com/mascri/mascri/cri/podnet"
)

// recoverTimeout bounds the clearing up after the last run.
const recoverTimeout = 5 * time.Minute

// serve is the subcommand: the daemon, until ctx ends.
func serve(ctx context.Context, args []string, log io.Writer) error {
	s, err := readSettings(args, os.Environ(), log)
	if err != nil {
		return err
	}
	if err := possible(s.network, runtime.GOOS); err != nil {
		return err
	}
	logger := newLogger(s, log)
	logger.Info("starting", "version", version, "network", s.network, "listen", s.listen)
	node, err := newNode(ctx, s, logger)
	if err != nil {
		return err
	}
	return errors.Join(node.run(ctx, s, logger), node.close())
}

// possible says why a network mode cannot work on an operating system, and what
// can.
func possible(network, system string) error {
	if system == "linux" || network != networkCNI {
		return nil
	}
	return fmt.Errorf(`a CNI plugin configures a Linux network namespace, and %s has none; those of Docker Desktop's containers live in its virtual machine, out of reach from here. Three ways on:
  make run-in-docker              runs the daemon in a container on that machine
  mascri serve --network=docker   connects pods with Docker's own networks
  mascri serve --network=dry-run  does nothing, and prints what would be done`, system)
}

func newLogger(s settings, out io.Writer) *slog.Logger {
	var level slog.Level
	// settings.check has seen that the text is a level's name.
	_ = level.UnmarshalText([]byte(s.logLevel))
	options := &slog.HandlerOptions{Level: level}
	if s.logFormat == "json" {
		return slog.New(slog.NewJSONHandler(out, options))
	}
	return slog.New(slog.NewTextHandler(out, options))
}

// A node is a server with what it stands on.
type node struct {
	server *cri.Server
	ends   []func() error // last made, first ended
}

func (n *node) close() error {
	var errs []error
	for i := len(n.ends) - 1; i >= 0; i-- {
		errs = append(errs, n.ends[i]())
	}
	return errors.Join(errs...)
}

// newNode connects the engine and the network that the settings choose.
func newNode(ctx context.Context, s settings, logger *slog.Logger) (*node, error) {
	if s.network == networkDryRun {
		return newDryNode(s, logger)
	}
	engine, err := docker.Connect(ctx, s.dockerHost, docker.WithLogger(logger))
	if err != nil {
		return nil, err
	}
	n := &node{ends: []func() error{engine.Close}}
	// Now rather than in the first pod's time. Should it not work, that pod's
	// call will say why.
	if err := engine.Prepare(ctx, cri.SandboxOOMScore); err != nil {
		logger.Warn("the engine could not be prepared for pods", "error", err)
	}
	config := cri.Config{Version: version, Log: logger}
	if s.network == networkDocker {
		config.RemoteEngine = runtime.GOOS != "linux" || !strings.HasPrefix(engine.Host(), "unix://")
		n.server = cri.New(config, engine, cri.NewDockerNetwork(engine, s.dockerNetwork))
		return n, n.enableContainers(s, engine)
	}
	manager, err := newManager(s, logger)
	if err != nil {
		return nil, errors.Join(err, n.close())
	}
	n.ends = append(n.ends, manager.Close)
	n.server = cri.New(config, engine, manager)
	return n, n.enableContainers(s, engine)
}

// enableContainers adds the half of the CRI that is not about sandboxes. Where
// that fails, what the node stands on is ended.
func (n *node) enableContainers(s settings, engine *docker.Engine) error {
	end, err := n.server.EnableContainers(engine, cri.ContainersConfig{StateDir: s.stateDir})
	if err != nil {
		return errors.Join(err, n.close())
	}
	n.ends = append(n.ends, end)
	return nil
}

// newDryNode makes a node on which nothing happens. The steps that a real one
// would take go to stdout.
func newDryNode(s settings, logger *slog.Logger) (*node, error) {
	template, err := readTemplate(s)
	if err != nil {
		return nil, err
	}
	script := &scriptWriter{out: os.Stdout}
	config := cri.Config{Version: version, Log: logger, RemoteEngine: true, OnStep: script.step}
	network := dryrun.NewNetwork(s.confDir, template, s.runDir, preview.Run)
	end := func() error { return script.err }
	return &node{server: cri.New(config, dryrun.NewEngine(), network), ends: []func() error{end}}, nil
}

// newManager makes the CNI manager.
func newManager(s settings, logger *slog.Logger) (*podnet.Manager, error) {
	template, err := readTemplate(s)
	if err != nil {
		return nil, err
	}
	return podnet.New(podnet.Config{
		ConfDir:     s.confDir,
		BinDirs:     s.binDirs,
		RunDir:      s.runDir,
		StateDir:    s.stateDir,
		Template:    template,
		OwnNetworks: s.ownNetworks,
		ExecTimeout: s.execTimeout,
		Log:         logger,
	})
}

// readTemplate is the network to use where the configuration directory has
// none; "" where there shall be none.
func readTemplate(s settings) (string, error) {
	switch {
	case s.template != "":
		text, err := os.ReadFile(filepath.Clean(s.template))
		if err != nil {
			return "", fmt.Errorf("read the CNI template: %w", err)
		}
		return string(text), nil
	case s.builtin == "on":
		return podnet.BuiltinTemplate, nil
	}
	return "", nil
}

// run clears up after the last run, then serves.
func (n *node) run(ctx context.Context, s settings, logger *slog.Logger) error {
	path, err := s.socket()
	if err != nil {
		return err
	}
	// The socket comes first: it tells at once when another daemon runs, whose
	// half-made pods are not ours to clear up.
	listener, err := cri.Listen(path)
	if err != nil {
		return err
	}
	recovering, cancel := context.WithTimeout(ctx, recoverTimeout)
	defer cancel()
	if err := n.server.Recover(recovering); err != nil {
		logger.Error("some of the last run could not be cleared up; it is tried again with the pods' removal and the next start", "error", err)
	}
	if err := notify("READY=1"); err != nil {
		logger.Warn("the service manager was not told that the daemon is ready", "error", err)
	}
	logger.Info("serving", "socket", path)
	err = n.server.Serve(ctx, listener)
	logger.Info("stopped")
	return err
}
