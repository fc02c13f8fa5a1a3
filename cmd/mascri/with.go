package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/mascri/mascri/cmd/mascri/machine"
)

const withUsage = `Usage: mascri with [--engine] [--test-tools] -- COMMAND [ARGUMENT...]

Runs a command on a machine that has what it needs: installs what is missing
(Debian's apt-get), starts a Docker engine where none answers, runs the command,
and stops the engine again if it started it. Ends as the command ended.

`

// with is the subcommand of that name; make test is its user.
func with(ctx context.Context, args []string, log io.Writer) (err error) {
	flags := flag.NewFlagSet("with", flag.ContinueOnError)
	flags.SetOutput(log)
	flags.Usage = func() { _, _ = io.WriteString(log, withUsage); flags.PrintDefaults() } // to the terminal
	engine := flags.Bool("engine", false, "have a Docker engine answer")
	tools := flags.Bool("test-tools", false, "have the programs that the tests use")
	if err := parseFlags(flags, args); err != nil {
		return err
	}
	if flags.NArg() == 0 {
		return misuse{errors.New("no command given: name one after two dashes, as in mascri with --engine -- go test")}
	}
	if *engine {
		running, err2 := machine.StartEngine(ctx, log)
		if err2 != nil {
			return err2
		}
		defer func() { err = errors.Join(err, running.Stop(context.WithoutCancel(ctx))) }()
	}
	if *tools {
		if err := machine.Provide(ctx, log, machine.TestNeeds...); err != nil {
			return err
		}
	}
	return runCommand(ctx, flags.Args())
}

// runCommand runs a command in this process's place at the terminal. A signal
// that ends us asks it to end first.
func runCommand(ctx context.Context, command []string) error {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 30 * time.Second
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", command[0], err)
	}
	return nil
}
