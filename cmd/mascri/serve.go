package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/mascri/mascri/cri"
	"github.com/mascri/mascri/cri/monitor"
)

// recoverTimeout bounds the clearing up after the last run. The systemd unit's
// TimeoutStartSec has to be longer.
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
	path, err := s.socket()
	if err != nil {
		return err
	}
	// A second signal is from somebody who will not wait: it ends the process
	// where it stands, as kill -9 would, and the next start clears up.
	defer context.AfterFunc(ctx, func() { signal.Reset(os.Interrupt, syscall.SIGTERM) })()
	logger := newLogger(s, log)
	defer outliveHangups(logger)()
	logger.Info("starting", "version", version, "network", s.network, "listen", s.listen)
	// The socket comes first: it tells at once when another daemon runs, whose
	// half-made pods are not ours to clear up.
	listener, err := cri.Listen(path)
	if err != nil {
		return err
	}
	node, err := newNode(ctx, s, logger)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	return errors.Join(node.run(ctx, s, listener, logger), node.close())
}

// outliveHangups keeps the daemon alive on SIGHUP, which would end it with calls
// under way: whoever sends it wants a daemon to read its configuration again.
func outliveHangups(logger *slog.Logger) (end func()) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	go func() {
		for range hangups {
			logger.Info("there is nothing to reload: network configurations and certificates are read when they are needed, other settings want a restart", "signal", "SIGHUP")
		}
	}()
	return func() {
		signal.Stop(hangups) // nothing is sent from here on
		close(hangups)
	}
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

// run clears up after the last run, then serves. It closes the listener.
func (n *node) run(ctx context.Context, s settings, listener net.Listener, logger *slog.Logger) (err error) {
	probe, err := monitor.NewProbe(listener.Addr().String())
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	defer func() { err = errors.Join(err, probe.Close()) }()
	if s.monitorAddress != "" {
		watched, err := n.monitor(s, probe, logger)
		if err != nil {
			return errors.Join(err, listener.Close())
		}
		defer func() { err = errors.Join(err, watched.Close()) }()
	}
	recovering, cancel := context.WithTimeout(ctx, recoverTimeout)
	defer cancel()
	if err := n.server.Recover(recovering); err != nil {
		logger.Error("some of the last run could not be cleared up; it is tried again with the pods' removal and the next start", "error", err)
	}
	tell(logger, "READY=1\nSTATUS=Serving the CRI on "+listener.Addr().String())
	if interval := watchdogInterval(os.Getenv, os.Getpid()); interval > 0 {
		go reportAlive(ctx, interval, probe.Alive, logger)
	}
	defer announceEnd(ctx, logger)()
	logger.Info("serving", "socket", listener.Addr().String())
	err = n.server.Serve(ctx, listener)
	logger.Info("stopped")
	return err
}

// announceEnd says that the daemon is stopping once ctx has ended. What it
// returns waits until that is said: with no call under way the process could be
// gone before.
func announceEnd(ctx context.Context, logger *slog.Logger) (finish func()) {
	said := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(said)
		logger.Info("stopping", "reason", context.Cause(ctx))
		tell(logger, "STOPPING=1\nSTATUS=Finishing the calls under way")
	})
	return func() {
		if !stop() {
			<-said
		}
	}
}

// monitor serves metrics and health.
func (n *node) monitor(s settings, probe *monitor.Probe, logger *slog.Logger) (*monitor.Server, error) {
	server, err := monitor.Listen(monitor.Config{
		Address:  s.monitorAddress,
		Profiles: s.profiles == "on",
		Metrics:  n.metrics,
		Probe:    probe,
		Usage:    n.usage,
		Log:      logger,
	})
	if err == nil {
		logger.Info("monitoring", "address", server.Address(), "pprof", s.profiles)
	}
	return server, err
}

// tell notifies the service manager; a failure is no reason to end.
func tell(logger *slog.Logger, state string) {
	if err := notify(state); err != nil {
		logger.Warn("the service manager could not be told how the daemon fares", "error", err)
	}
}
