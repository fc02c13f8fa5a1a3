package monitor

import (
	"context"
	"errors"
	"fmt"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Probe asks the daemon over its own socket, so that its answer is what a
// kubelet would get, and none where the kubelet would get none.
type Probe struct {
	connection *grpc.ClientConn
	runtime    runtimeapi.RuntimeServiceClient
}

// NewProbe makes a probe of the daemon that listens on the unix socket at path,
// now or later.
func NewProbe(path string) (*Probe, error) {
	connection, err := grpc.NewClient("passthrough:///mascri",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}))
	if err != nil {
		return nil, fmt.Errorf("probe the socket %s: %w", path, err)
	}
	return &Probe{connection: connection, runtime: runtimeapi.NewRuntimeServiceClient(connection)}, nil
}

// Close ends the connection.
func (p *Probe) Close() error { return p.connection.Close() }

// Alive is nil where the daemon answers at all.
func (p *Probe) Alive(ctx context.Context) error {
	if _, err := p.runtime.Version(ctx, &runtimeapi.VersionRequest{}); err != nil {
		return fmt.Errorf("the CRI socket does not answer: %w", err)
	}
	return nil
}

// Conditions are those of the CRI's Status.
func (p *Probe) Conditions(ctx context.Context) ([]*runtimeapi.RuntimeCondition, error) {
	answer, err := p.runtime.Status(ctx, &runtimeapi.StatusRequest{})
	if err != nil {
		return nil, fmt.Errorf("the CRI socket does not answer: %w", err)
	}
	return answer.GetStatus().GetConditions(), nil
}

// Ready is nil where a pod could be run now: the daemon answers, so does the
// engine, and the network's plugins are ready. Else it says what is not, a line
// each.
func (p *Probe) Ready(ctx context.Context) error {
	conditions, err := p.Conditions(ctx)
	errs := []error{err}
	for _, c := range conditions {
		if !c.GetStatus() {
			errs = append(errs, fmt.Errorf("%s is false (%s): %s", c.GetType(), c.GetReason(), c.GetMessage()))
		}
	}
	return errors.Join(errs...)
}
