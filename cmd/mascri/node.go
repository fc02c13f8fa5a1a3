package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/mascri/mascri/cmd/mascri/preview"
	"github.com/mascri/mascri/cri"
	"github.com/mascri/mascri/cri/docker"
	"github.com/mascri/mascri/cri/dryrun"
	"github.com/mascri/mascri/cri/monitor"
	"github.com/mascri/mascri/cri/podnet"
)

// A node is a server with what it stands on.
type node struct {
	server  *cri.Server
	metrics *monitor.Metrics
	usage   func(context.Context) ([]podnet.Usage, error) // nil: the network mode knows none
	ends    []func() error                                // last made, first ended
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
	n := &node{metrics: monitor.NewMetrics(version)}
	config := cri.Config{Version: version, Log: logger, OnCall: n.metrics.Call}
	if s.network == networkDryRun {
		return n, n.makeDry(s, config)
	}
	engine, err := docker.Connect(ctx, s.dockerHost, docker.WithLogger(logger),
		docker.WithStartLimit(s.maxStarts), docker.WithObserver(n.metrics.Request), docker.WithStateDir(s.stateDir))
	if err != nil {
		return nil, err
	}
	n.ends = append(n.ends, engine.Close)
	// Now rather than in the first pod's time. Should it not work, that pod's
	// call will say why.
	if err := engine.Prepare(ctx, cri.SandboxOOMScore); err != nil {
		logger.Warn("the engine could not be prepared for pods", "error", err)
	}
	if s.network == networkDocker {
		config.RemoteEngine = runtime.GOOS != "linux" || !strings.HasPrefix(engine.Host(), "unix://")
		n.server = cri.New(config, engine, cri.NewDockerNetwork(engine, s.dockerNetwork))
		return n, n.enableContainers(s, engine)
	}
	manager, err := newManager(s, logger, n.metrics)
	if err != nil {
		return nil, errors.Join(err, n.close())
	}
	n.usage = manager.Usage
	n.ends = append(n.ends, manager.Close)
	n.server = cri.New(config, engine, manager)
	return n, n.enableContainers(s, engine)
}

// enableContainers adds the half of the CRI that is not about sandboxes. Where
// that fails, what the node stands on is ended.
func (n *node) enableContainers(s settings, engine *docker.Engine) error {
	end, err := n.server.EnableContainers(engine, cri.ContainersConfig{StateDir: s.stateDir, Stream: s.stream})
	if err != nil {
		return errors.Join(err, n.close())
	}
	n.ends = append(n.ends, end)
	return nil
}

// makeDry has nothing happen. The steps that a real node would take go to
// stdout.
func (n *node) makeDry(s settings, config cri.Config) error {
	template, err := readTemplate(s)
	if err != nil {
		return err
	}
	script := &scriptWriter{out: os.Stdout}
	config.RemoteEngine, config.OnStep = true, script.step
	n.server = cri.New(config, dryrun.NewEngine(), dryrun.NewNetwork(s.confDir, template, s.runDir, preview.Run))
	n.ends = append(n.ends, func() error { return script.err })
	return nil
}

// newManager makes the CNI manager.
func newManager(s settings, logger *slog.Logger, metrics *monitor.Metrics) (*podnet.Manager, error) {
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
		OnPlugin:    metrics.Plugin,
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
