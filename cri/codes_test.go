//go:build linux

package cri

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/types"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mascri/mascri/cri/docker"
	"github.com/mascri/mascri/cri/dryrun"
	"github.com/mascri/mascri/cri/podnet"
	"github.com/mascri/mascri/spec"
)

// badInput is a pod, a configuration, or an answer from below that RunPodSandbox
// cannot do anything with.
type badInput struct {
	name     string
	conflist string // "": the built-in network; "-": none at all
	plugin   error  // what each plugin answers
	engine   error  // what the engine answers to a create
	change   func(*runtimeapi.PodSandboxConfig)
	code     codes.Code
	says     string
}

func annotate(key, value string) func(*runtimeapi.PodSandboxConfig) {
	return func(c *runtimeapi.PodSandboxConfig) { c.Annotations = map[string]string{key: value} }
}

func pluginSays(code spec.Code, message string) error {
	return types.NewError(uint(code), message, "")
}

var badInputs = []badInput{
	{name: "a path as pod name", code: codes.InvalidArgument, says: "config.metadata.name",
		change: func(c *runtimeapi.PodSandboxConfig) { c.Metadata.Name = "../x" }},
	{name: "a log directory below a file", code: codes.InvalidArgument, says: "config.log_directory",
		change: func(c *runtimeapi.PodSandboxConfig) { c.LogDirectory = "/proc/self/status/x" }},
	{name: "an address that is none", code: codes.InvalidArgument, says: podnet.AnnotationIPs, change: annotate(podnet.AnnotationIPs, "10.22.0")},
	{name: "an empty address", code: codes.InvalidArgument, says: podnet.AnnotationIPs, change: annotate(podnet.AnnotationIPs, "")},
	{name: "a MAC that is none", code: codes.InvalidArgument, says: podnet.AnnotationMAC, change: annotate(podnet.AnnotationMAC, "02:00")},
	{name: "a bandwidth that is none", code: codes.InvalidArgument, says: podnet.AnnotationIngress, change: annotate(podnet.AnnotationIngress, "fast")},
	{name: "a bandwidth out of bounds", code: codes.InvalidArgument, says: podnet.AnnotationEgress, change: annotate(podnet.AnnotationEgress, "1")},
	{name: "an address on a network that gives none by wish", code: codes.FailedPrecondition, says: `"ips"`,
		conflist: `{"cniVersion": "1.1.0", "name": "n", "plugins": [{"type": "netplug"}]}`,
		change:   annotate(podnet.AnnotationIPs, "10.22.0.7")},

	{name: "no configuration", conflist: "-", code: codes.FailedPrecondition, says: "no CNI configuration"},
	{name: "broken JSON", conflist: "{", code: codes.FailedPrecondition, says: "10.conflist"},
	{name: "no name", conflist: `{"cniVersion": "1.1.0", "plugins": [{"type": "netplug"}]}`, code: codes.FailedPrecondition, says: "name"},
	{name: "no plugins", conflist: `{"cniVersion": "1.1.0", "name": "n", "plugins": []}`, code: codes.FailedPrecondition, says: "plugins"},
	{name: "a plugin without a type", conflist: `{"cniVersion": "1.1.0", "name": "n", "plugins": [{}]}`, code: codes.FailedPrecondition, says: "type"},
	{name: "a path as plugin", conflist: `{"cniVersion": "1.1.0", "name": "n", "plugins": [{"type": "../x"}]}`, code: codes.FailedPrecondition, says: "../x"},
	{name: "a path as network name", conflist: `{"cniVersion": "1.1.0", "name": "../n", "plugins": [{"type": "netplug"}]}`, code: codes.FailedPrecondition, says: "../n"},
	{name: "a version from the future", conflist: `{"cniVersion": "9.9.9", "name": "n", "plugins": [{"type": "netplug"}]}`, code: codes.FailedPrecondition, says: "9.9.9"},
	{name: "a version that is none", conflist: `{"cniVersion": "new", "name": "n", "plugins": [{"type": "netplug"}]}`, code: codes.FailedPrecondition, says: "new"},

	{name: "a range that overlaps", plugin: pluginSays(spec.InvalidConfig, "overlaps"), code: codes.FailedPrecondition, says: "overlaps"},
	{name: "a configuration the plugin cannot read", plugin: pluginSays(spec.Decode, "broken"), code: codes.FailedPrecondition, says: "broken"},
	{name: "a version the plugin does not speak", plugin: pluginSays(spec.IncompatibleVersion, "old"), code: codes.FailedPrecondition, says: "old"},
	{name: "a namespace that is missing or the host's", plugin: pluginSays(spec.InvalidNetns, "netns"), code: codes.FailedPrecondition, says: "netns"},
	{name: "a range without a free address", plugin: pluginSays(spec.Exhausted, "full"), code: codes.ResourceExhausted, says: "full"},
	{name: "a lock that another one has", plugin: pluginSays(spec.TryAgain, "busy"), code: codes.Unavailable, says: "busy"},
	{name: "a missing variable", plugin: pluginSays(spec.InvalidEnv, "CNI_X"), code: codes.Internal, says: "CNI_X"},
	{name: "a kernel that refuses", plugin: pluginSays(spec.Kernel, "EPERM"), code: codes.Internal, says: "EPERM"},
	{name: "a foreign plugin's own code", plugin: pluginSays(777, "strange"), code: codes.Internal, says: "strange"},

	{name: "an engine that is away", engine: docker.ErrUnavailable, code: codes.Unavailable, says: "unavailable"},
	{name: "an engine that refuses", engine: docker.ErrInvalid, code: codes.InvalidArgument, says: "invalid"},
	{name: "a plugin that is not installed", engine: podnet.ErrNoPlugin, code: codes.FailedPrecondition, says: "plugin"},
}

// No bad input is answered with Unknown, which would have the caller try for
// ever what only a person can mend; and nothing is left of any.
func TestBadInputHasACode(t *testing.T) {
	for _, bad := range badInputs {
		t.Run(bad.name, func(t *testing.T) {
			b := newBench(t)
			b.network.Network = bad.network(t)
			if bad.engine != nil {
				b.engine.fail("create", bad.engine)
			}
			config := goodPod("web")
			if bad.change != nil {
				bad.change(config)
			}
			_, err := b.run(config)
			if status.Code(err) != bad.code || !strings.Contains(status.Convert(err).Message(), bad.says) {
				t.Errorf("%v, want %s and %q", err, bad.code, bad.says)
			}
			if err := b.left(); err != nil {
				t.Error(err)
			}
		})
	}
}

// network is one with the case's configuration and plugins.
func (bad badInput) network(t *testing.T) *dryrun.Network {
	t.Helper()
	dir, template := t.TempDir(), ""
	switch bad.conflist {
	case "-":
	case "":
		template = podnet.BuiltinTemplate
	default:
		if err := os.WriteFile(filepath.Join(dir, "10.conflist"), []byte(bad.conflist), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := answerAddress
	if bad.plugin != nil {
		run = func(context.Context, string, []byte, []string) ([]byte, error) { return nil, bad.plugin }
	}
	return dryrun.NewNetwork(dir, template, dir, run)
}

// An ID that is none belongs to nothing, and never reaches the engine.
func TestStrangeIDs(t *testing.T) {
	b := newBench(t)
	for _, id := range []string{"../x", "a/b", "-x", strings.Repeat("x", 300)} {
		_, err := b.PodSandboxStatus(t.Context(), &runtimeapi.PodSandboxStatusRequest{PodSandboxId: id})
		if status.Code(err) != codes.NotFound {
			t.Errorf("PodSandboxStatus %q: %v, want NotFound", id, err)
		}
		if err := errors.Join(b.stop(id), b.remove(id)); err != nil {
			t.Errorf("stop and remove %q: %v, want success", id, err)
		}
	}
	for _, err := range []error{b.stop(""), b.remove("")} {
		if status.Code(err) != codes.InvalidArgument {
			t.Errorf("without an ID: %v, want InvalidArgument", err)
		}
	}
}
