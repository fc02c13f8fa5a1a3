// Command mascri is a CRI runtime on a Docker engine, and the tools around it.
// This file only finds the subcommand; serve.go is the daemon's.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// version is set by the build (Makefile).
var version = "0.1.0-dev"

// A command is one subcommand. It writes what it is asked for to stdout, and
// what it has to say besides to log.
type command struct {
	name, about string
	run         func(ctx context.Context, args []string, log io.Writer) error
}

var commands = []command{
	{"serve", "run the CRI runtime", serve},
	{"plan", "print what attaching a pod to a network would do", plan},
	{"demo", "show two pods being made, step by step", showDemo},
	{"conformance", "hold a CNI plugin to the specification", runConformance},
	{"install", "install the plugins, the daemon and its systemd unit", install},
	{"uninstall", "take back exactly what install installed", uninstall},
	{"with", "run a command on a machine that has what it needs", with},
	{"version", "print the version", printVersion},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run finds the subcommand and turns its error into an exit code: 2 for a call
// that was not understood, that of the program where another one was run. Help
// goes to stdout where it was asked for.
func run(ctx context.Context, args []string, stdout, log io.Writer) int {
	if len(args) > 1 && args[0] == "help" {
		args = []string{args[1], "--help"}
	}
	if len(args) == 0 {
		usage(log)
		return 2
	}
	if args[0] == "help" || helpAsked(args[:1]) {
		usage(stdout)
		return 0
	}
	for _, c := range commands {
		if c.name != args[0] {
			continue
		}
		if helpAsked(args[1:]) {
			log = stdout
		}
		return exitCode(c.name, c.run(ctx, args[1:], log), log)
	}
	fmt.Fprintf(log, "mascri: there is no command %q\n\n", args[0])
	usage(log)
	return 2
}

func exitCode(name string, err error, log io.Writer) int {
	// A program that was run in our place, or a command with codes of its own.
	var exit interface {
		error
		ExitCode() int
	}
	switch {
	case err == nil:
		return 0
	case errors.Is(err, flag.ErrHelp): // the flags have printed it
		return 0
	}
	fmt.Fprintf(log, "mascri %s: %v\n", name, err)
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		return exit.ExitCode()
	}
	return 1
}

func usage(log io.Writer) {
	fmt.Fprint(log, "Usage: mascri COMMAND [--help] [...]\n\nMasCRI runs Kubernetes pods on a Docker engine.\n\n")
	for _, c := range commands {
		fmt.Fprintf(log, "  %-12s %s\n", c.name, c.about)
	}
}

func printVersion(_ context.Context, _ []string, _ io.Writer) error {
	_, err := fmt.Println(version)
	return err
}
