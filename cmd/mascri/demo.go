package main

import (
	"context"
	"flag"
	"io"
	"os"

	"github.com/mascri/mascri/cmd/mascri/demo"
	"github.com/mascri/mascri/cri/podnet"
)

const demoUsage = `Usage: mascri demo

Shows on this machine how two pods come about: prepares what is missing (a Docker
engine, the plugins, the daemon), creates the pods through the CRI, prints each
step from the call to the veth pair with the command that would do the same,
pings them, removes them, and shows that nothing is left. As root.
`

// showDemo is the subcommand demo.
func showDemo(ctx context.Context, args []string, log io.Writer) error {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.SetOutput(log)
	flags.Usage = func() { _, _ = io.WriteString(log, demoUsage) } // to the terminal
	if err := parseFlags(flags, args); err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	network, err := podnet.DefaultConflist(nil)
	if err != nil {
		return err
	}
	return demo.Run(ctx, demo.Options{Program: program, Conf: network, Out: os.Stdout})
}
