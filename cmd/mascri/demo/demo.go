// Package demo shows two pods being made, step by step, on this machine: what
// make demo runs. It prepares what is missing (host.go), asks the daemon for
// pods as a kubelet would (pods.go), prints what was done from the CRI call to
// the veth pair (trace.go), and counts what is left when they are gone
// (remains.go).
//
// Nothing of a node that is configured already is touched: plugins, network
// configuration and state lie in a directory of the demonstration's own.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// patience bounds each call to the daemon: the first one loads an image.
const patience = time.Minute

// Options say what the demonstration shows.
type Options struct {
	Program string    // the mascri program; the plugins lie beside it
	Conf    []byte    // the network: a CNI configuration list
	Out     io.Writer // where it is shown
}

// A demonstration is one run.
type demonstration struct {
	Options
	host   *host
	client runtimeapi.RuntimeServiceClient
	pods   []*pod
}

// Run is the demonstration, from an empty machine to an empty machine. What it
// started it stops, also when the context ends half-way.
func Run(ctx context.Context, options Options) (err error) {
	if runtime.GOOS != "linux" {
		return errors.New("demo: a CNI plugin configures a Linux network namespace; try: make run-in-docker, or mascri plan")
	}
	if os.Geteuid() != 0 {
		return errors.New("demo: it makes bridges and network namespaces, which only root may: sudo make demo")
	}
	d := &demonstration{Options: options, host: &host{out: options.Out}}
	defer func() { err = errors.Join(err, d.host.giveBack(ctx)) }()
	if err := d.host.prepare(ctx, options); err != nil {
		return err
	}
	d.client = runtimeapi.NewRuntimeServiceClient(d.host.connection)
	if err := d.show(ctx); err != nil {
		return err
	}
	d.say("")
	d.say("That was all. Read on in docs/README.md; keep a daemon running with: bin/mascri serve")
	return nil
}

// show is what there is to see.
func (d *demonstration) show(ctx context.Context) error {
	defer d.abandon(ctx)
	for _, config := range podConfigs() {
		if err := d.create(ctx, config); err != nil {
			return err
		}
	}
	if err := d.pingAll(ctx); err != nil {
		return err
	}
	before, err := d.remains(ctx)
	if err != nil {
		return err
	}
	if err := d.removeAll(ctx); err != nil {
		return err
	}
	after, err := d.remains(ctx)
	if err != nil {
		return err
	}
	return d.compare(before, after)
}

// say prints one line.
func (d *demonstration) say(format string, args ...any) { d.host.say(format, args...) }

// heading prints a line that begins a part.
func (d *demonstration) heading(format string, args ...any) {
	d.say("")
	d.say("── "+format, args...)
}

// milliseconds is a duration as the tables show it.
func milliseconds(t time.Duration) string {
	return fmt.Sprintf("%.2f ms", float64(t)/float64(time.Millisecond))
}
