package podnet

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/version"
)

// Runner stands in for running a plugin: it gets what the plugin would get on
// stdin and in its environment, and returns what that would print.
type Runner func(ctx context.Context, plugin string, stdin []byte, environ []string) (stdout []byte, err error)

// Preview goes the way of SetUpPod without touching anything: the network's
// plugins are given to the runner, one after the other, each with the result of
// the one before.
func Preview(ctx context.Context, id, netns string, a Attachment, run Runner) (result Result, err error) {
	network, err := a.network()
	if err != nil {
		return Result{}, err
	}
	// libcni wants to keep a record of each ADD.
	cache, err := os.MkdirTemp("", "mascri-preview-")
	if err != nil {
		return Result{}, fmt.Errorf("preview network %s: %w", network.Name, err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(cache)) }()
	cni := libcni.NewCNIConfigWithCacheDir(nil, cache, &previewer{run: run})
	answer, err := cni.AddNetworkList(ctx, network.list, a.runtimeConf(id, netns))
	if err != nil {
		return Result{}, fmt.Errorf("preview network %s (%s): %w", network.Name, network.Source, err)
	}
	return resultFrom(network.Name, answer)
}

// previewer is an executor that executes nothing.
type previewer struct {
	version.PluginDecoder
	run Runner
}

// FindInPath finds every plugin: none has to be installed.
func (p *previewer) FindInPath(plugin string, _ []string) (string, error) { return plugin, nil }

// ExecPlugin asks the runner.
func (p *previewer) ExecPlugin(ctx context.Context, plugin string, stdin []byte, environ []string) ([]byte, error) {
	return p.run(ctx, plugin, stdin, environ)
}
