package cri

import (
	"encoding/json"
	"fmt"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mascri/mascri/cri/docker"
	"github.com/mascri/mascri/cri/podnet"
)

// Labels of our containers. They are written once, with the container, and are
// all that is known of it after a restart.
const (
	labelKind    = "mascri.kind"            // kindSandbox or kindContainer
	labelPod     = "mascri.pod"             // the PodSandboxConfig, as protobuf JSON
	labelHandler = "mascri.runtime-handler" // of the RunPodSandboxRequest
	labelNetwork = "mascri.network"         // the podnet.Attachment; not there in a pod on the host's network
	labelCreated = "mascri.created"         // RFC 3339 with nanoseconds; Docker lists whole seconds
	labelSandbox = "mascri.sandbox"         // of a workload container: its sandbox's ID

	kindSandbox   = "sandbox"
	kindContainer = "container"
)

// sandbox is a pod sandbox as its container tells it.
type sandbox struct {
	pod
	id         string
	state      docker.State
	created    time.Time
	attachment *podnet.Attachment // nil in a pod on the host's network
}

// encodeLabels writes down a sandbox that is about to be created.
func encodeLabels(p pod, attachment *podnet.Attachment, created time.Time) (map[string]string, error) {
	config, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(p.config)
	if err != nil {
		return nil, fmt.Errorf("label %s: %w", labelPod, err)
	}
	labels := map[string]string{
		labelKind:    kindSandbox,
		labelPod:     string(config),
		labelHandler: p.handler,
		labelCreated: created.UTC().Format(time.RFC3339Nano),
	}
	if attachment != nil {
		text, err := json.Marshal(attachment)
		if err != nil {
			return nil, fmt.Errorf("label %s: %w", labelNetwork, err)
		}
		labels[labelNetwork] = string(text)
	}
	return labels, nil
}

// decode reads a sandbox from its container, whose labels it may remember.
func (s *Server) decode(c docker.Container) (sandbox, error) {
	found, err := s.decoded.get(c.ID, c.Labels[labelPod], func() (sandbox, error) { return decodeSandbox(c) })
	found.state = c.State // all else stands in the labels
	return found, err
}

// decodeSandbox reads a sandbox from its container. errNotFound: the container
// is none of our sandboxes.
func decodeSandbox(c docker.Container) (sandbox, error) {
	if c.Labels[labelKind] != kindSandbox {
		return sandbox{}, fmt.Errorf("sandbox %s: %w: the container is not one of ours", c.ID, errNotFound)
	}
	found := sandbox{id: c.ID, state: c.State, created: c.Created}
	found.handler = c.Labels[labelHandler]
	found.config = &runtimeapi.PodSandboxConfig{}
	// A newer version of this program may have kept more.
	read := protojson.UnmarshalOptions{DiscardUnknown: true}
	if err := read.Unmarshal([]byte(c.Labels[labelPod]), found.config); err != nil {
		return sandbox{}, fmt.Errorf("sandbox %s: label %s: %w", c.ID, labelPod, err)
	}
	if found.config.Metadata == nil {
		return sandbox{}, fmt.Errorf("sandbox %s: label %s: no metadata", c.ID, labelPod)
	}
	if created, err := time.Parse(time.RFC3339Nano, c.Labels[labelCreated]); err == nil {
		found.created = created
	}
	if text, ok := c.Labels[labelNetwork]; ok {
		attachment, err := podnet.DecodeAttachment([]byte(text))
		if err != nil {
			return sandbox{}, fmt.Errorf("sandbox %s: label %s: %w", c.ID, labelNetwork, err)
		}
		found.attachment = &attachment
	}
	return found, nil
}
