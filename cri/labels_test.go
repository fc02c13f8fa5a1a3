package cri

import (
	"errors"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mascri/mascri/cri/docker"
	"github.com/mascri/mascri/cri/podnet"
)

func TestLabelsKeepTheSandbox(t *testing.T) {
	network, err := podnet.FromTemplate(podnet.BuiltinTemplate, podnet.TemplateData{})
	if err != nil {
		t.Fatal(err)
	}
	attachment, err := podnet.Attach(network, podnet.Pod{Namespace: "default", Name: "web-0", UID: "1"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	created := time.Unix(1700000000, 123456789)
	wanted := pod{config: validPod(), handler: "runc"}
	labels, err := encodeLabels(wanted, &attachment, created)
	if err != nil {
		t.Fatal(err)
	}
	got, err := decodeSandbox(docker.Container{ID: "x", Labels: labels, State: docker.Running})
	if err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(got.config, wanted.config) || got.handler != "runc" || !got.created.Equal(created) || got.state != docker.Running {
		t.Errorf("got %v", got)
	}
	if got.attachment == nil || string(got.attachment.Conflist) != string(network.Conflist) {
		t.Errorf("attachment %v, want the network %s", got.attachment, network.Conflist)
	}
}

func TestDecodeSandboxRefuses(t *testing.T) {
	if _, err := decodeSandbox(docker.Container{ID: "x"}); !errors.Is(err, errNotFound) {
		t.Errorf("a foreign container: %v, want errNotFound", err)
	}
	for name, labels := range map[string]map[string]string{
		"no config":           {},
		"config is no JSON":   {labelPod: "{"},
		"no metadata":         {labelPod: "{}"},
		"network is no JSON":  {labelPod: `{"metadata":{"name":"a"}}`, labelNetwork: "{"},
		"network is no CNI's": {labelPod: `{"metadata":{"name":"a"}}`, labelNetwork: `{"conflist":{"name":"../x"}}`},
	} {
		labels[labelKind] = kindSandbox
		if _, err := decodeSandbox(docker.Container{ID: "x", Labels: labels}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// Whatever stands in the labels, reading them neither panics nor gives a
// sandbox that cannot be worked with.
func FuzzDecodeSandbox(f *testing.F) {
	labels, err := encodeLabels(pod{config: validPod()}, &podnet.Attachment{Source: "x"}, time.Now())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(labels[labelPod], labels[labelNetwork], labels[labelCreated])
	f.Add(`{"metadata":{}}`, `{"conflist":{"name":"a","plugins":[{"type":"b"}]}}`, "x")
	f.Fuzz(func(t *testing.T, config, network, created string) {
		s, err := decodeSandbox(docker.Container{ID: "x", Labels: map[string]string{
			labelKind: kindSandbox, labelPod: config, labelNetwork: network, labelCreated: created}})
		if err != nil {
			return
		}
		if s.config.GetMetadata() == nil || s.attachment == nil {
			t.Errorf("decoded to %v", s)
		}
		_ = matches(&runtimeapi.PodSandbox{Id: s.id, Labels: s.config.GetLabels()}, nil) // must not panic
	})
}
