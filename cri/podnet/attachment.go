package podnet

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/containernetworking/cni/libcni"
)

// IfName is the interface that every pod gets, as Kubernetes expects it.
const IfName = "eth0"

// Pod is what a network may want to know of a pod, validated by the caller:
// the three names come to stand in CNI_ARGS.
type Pod struct {
	Namespace, Name, UID string
	Ports                []PortMapping
	DNS                  DNS
	Annotations          map[string]string
	CgroupParent         string
}

// PortMapping is one entry of the capability portMappings.
type PortMapping struct {
	HostPort      int32  `json:"hostPort"`
	ContainerPort int32  `json:"containerPort"`
	Protocol      string `json:"protocol"`         // "tcp", "udp" or "sctp"
	HostIP        string `json:"hostIP,omitempty"` // "" is every address of the host
}

// DNS is the capability dns; it is resolv.conf(5) in parts.
type DNS struct {
	Servers  []string `json:"servers,omitempty"`
	Searches []string `json:"searches,omitempty"`
	Options  []string `json:"options,omitempty"`
}

// IsZero tells whether nothing is configured.
func (d DNS) IsZero() bool { return len(d.Servers)+len(d.Searches)+len(d.Options) == 0 }

// Attachment is all that ADD and DEL run with besides the container's ID and
// its namespace. It is made before the container, kept with it (as JSON), and
// the only thing that DEL needs: section 3 of the specification wants the same
// configuration and arguments for both.
type Attachment struct {
	Conflist     json.RawMessage `json:"conflist,omitempty"`
	Source       string          `json:"source"`
	Args         [][2]string     `json:"args,omitempty"`
	Capabilities map[string]any  `json:"capabilities,omitempty"`
}

// DecodeAttachment reads what json.Marshal made of an Attachment. An error
// means that nothing can be run from it.
func DecodeAttachment(text []byte) (Attachment, error) {
	var a Attachment
	if err := json.Unmarshal(text, &a); err != nil {
		return Attachment{}, fmt.Errorf("network attachment: %w", err)
	}
	if a.isCNI() {
		if _, err := a.network(); err != nil {
			return Attachment{}, fmt.Errorf("network attachment: %w", err)
		}
	}
	return a, nil
}

// isCNI tells whether a CNI network was chosen. Other network modes attach
// without one, and a daemon may find pods of a mode that it ran in before.
func (a Attachment) isCNI() bool { return len(a.Conflist) > 0 }

func (a Attachment) network() (Network, error) {
	return parseNetwork(a.Conflist, a.Source, "")
}

// runtimeConf is libcni's form of what one operation runs with.
func (a Attachment) runtimeConf(id, netns string) *libcni.RuntimeConf {
	// The container that holds the pod's namespaces is the pod's sandbox.
	args := append(slices.Clone(a.Args), [2]string{"K8S_POD_INFRA_CONTAINER_ID", id})
	return &libcni.RuntimeConf{
		ContainerID:    id,
		NetNS:          netns,
		IfName:         IfName,
		Args:           args,
		CapabilityArgs: maps.Clone(a.Capabilities),
	}
}

// Attach decides what the pod's ADD runs with in the network.
func Attach(network Network, pod Pod, podCIDRs []netip.Prefix) (Attachment, error) {
	capabilities, err := capabilitiesFor(network, pod, podCIDRs)
	if err != nil {
		return Attachment{}, err
	}
	return Attachment{
		Conflist: network.Conflist,
		Source:   network.Source,
		Args: [][2]string{
			{"IgnoreUnknown", "1"}, // plugins that know no K8S_ argument must not refuse them
			{"K8S_POD_NAMESPACE", pod.Namespace},
			{"K8S_POD_NAME", pod.Name},
			{"K8S_POD_UID", pod.UID},
		},
		Capabilities: capabilities,
	}, nil
}
