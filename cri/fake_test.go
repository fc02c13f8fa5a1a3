//go:build linux

package cri

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mascri/mascri/cri/docker"
	"github.com/mascri/mascri/cri/dryrun"
	"github.com/mascri/mascri/cri/podnet"
)

// errInjected is what a call that a test lets fail answers.
var errInjected = errors.New("injected")

// faults decide which calls fail: those named once, and each after it was made,
// as when only the answer got lost, if the name ends in "!".
type faults struct {
	mu    sync.Mutex
	next  map[string]error
	calls []string
}

func (f *faults) fail(call string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.next == nil {
		f.next = map[string]error{}
	}
	f.next[call] = err
}

// take returns the fault for a call, once.
func (f *faults) take(call string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := f.next[call]
	delete(f.next, call)
	return err
}

// around makes a call, with its fault before or after it.
func (f *faults) around(call string, do func() error) error {
	f.mu.Lock()
	f.calls = append(f.calls, call)
	f.mu.Unlock()
	if err := f.take(call); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	return f.take(call + "!")
}

// fakeEngine is the engine of dry runs, with faults, and with containers whose
// namespace and resolv.conf exist.
type fakeEngine struct {
	*dryrun.Engine
	faults
	resolvConf string
	workload   []docker.Container
}

func (e *fakeEngine) Version(ctx context.Context) (v docker.Version, err error) {
	return v, e.around("version", func() error { v, err = e.Engine.Version(ctx); return err })
}

func (e *fakeEngine) Info(ctx context.Context) (i docker.Info, err error) {
	return i, e.around("info", func() error { i, err = e.Engine.Info(ctx); return err })
}

func (e *fakeEngine) CreateSandbox(ctx context.Context, spec docker.SandboxSpec) (id string, err error) {
	err = e.around("create", func() error { id, err = e.Engine.CreateSandbox(ctx, spec); return err })
	if err != nil {
		return "", err
	}
	return id, nil
}

func (e *fakeEngine) Start(ctx context.Context, id string) error {
	return e.around("start", func() error { return e.Engine.Start(ctx, id) })
}

func (e *fakeEngine) Kill(ctx context.Context, id, signal string) error {
	return e.around("kill", func() error { return e.Engine.Kill(ctx, id, signal) })
}

func (e *fakeEngine) Remove(ctx context.Context, id string) error {
	return e.around("remove", func() error { return e.Engine.Remove(ctx, id) })
}

func (e *fakeEngine) Inspect(ctx context.Context, id string) (c docker.Container, err error) {
	err = e.around("inspect", func() error { c, err = e.Engine.Inspect(ctx, id); return err })
	if c.State == docker.Running {
		c.PID, c.SandboxKey = os.Getpid(), "/proc/self/ns/net"
	}
	c.ResolvConfPath = e.resolvConf
	return c, err
}

func (e *fakeEngine) List(ctx context.Context, labels map[string]string) (found []docker.Container, err error) {
	err = e.around("list "+labels[labelKind], func() error { found, err = e.Engine.List(ctx, labels); return err })
	if labels[labelKind] == kindContainer {
		for _, c := range e.workload {
			if c.Labels[labelSandbox] == labels[labelSandbox] {
				found = append(found, c)
			}
		}
	}
	return found, err
}

// fakeNetwork is the network of dry runs, with faults; it knows who is attached.
type fakeNetwork struct {
	*dryrun.Network
	faults
	attached map[string]bool
	kept     []string // what GC was told to keep
}

func (n *fakeNetwork) Prepare(ctx context.Context, pod podnet.Pod) (a podnet.Attachment, err error) {
	return a, n.around("prepare", func() error { a, err = n.Network.Prepare(ctx, pod); return err })
}

func (n *fakeNetwork) SetUpPod(ctx context.Context, id, netns string, a podnet.Attachment) (r podnet.Result, err error) {
	n.set(id, true) // also an ADD that fails may have made something
	err = n.around("set up", func() error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		r, err = n.Network.SetUpPod(ctx, id, netns, a)
		return err
	})
	return r, err
}

func (n *fakeNetwork) TearDownPod(ctx context.Context, id string, a *podnet.Attachment) error {
	return n.around("tear down", func() error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		n.set(id, false)
		return n.Network.TearDownPod(ctx, id, a)
	})
}

func (n *fakeNetwork) Owe(id string, _ *podnet.Attachment) error {
	return n.around("owe "+id, func() error { return nil })
}

func (n *fakeNetwork) GC(_ context.Context, keep []string) error {
	n.kept = slices.Clone(keep)
	return n.take("gc")
}

func (n *fakeNetwork) SetPodCIDRs(cidrs []netip.Prefix) error {
	return n.around("set cidrs", func() error { return n.Network.SetPodCIDRs(cidrs) })
}

func (n *fakeNetwork) set(id string, attached bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if attached {
		n.attached[id] = true
	} else {
		delete(n.attached, id)
	}
}

// answerAddress stands in for every plugin.
func answerAddress(context.Context, string, []byte, []string) ([]byte, error) {
	return []byte(`{"cniVersion": "1.1.0", "interfaces": [{"name": "eth0", "sandbox": "/x"}],
		"ips": [{"address": "10.22.0.5/16", "interface": 0}, {"address": "fd00::5/64", "interface": 0}]}`), nil
}

// A bench is a server on fakes, and a client of it over a real socket.
type bench struct {
	runtimeapi.RuntimeServiceClient
	connection *grpc.ClientConn
	t          *testing.T
	server     *Server
	engine     *fakeEngine
	network    *fakeNetwork
}

func newBench(t *testing.T) *bench {
	t.Helper()
	dir := t.TempDir()
	resolvConf := filepath.Join(dir, "resolv.conf")
	if err := os.WriteFile(resolvConf, []byte("nameserver 192.0.2.1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	b := &bench{
		t:      t,
		engine: &fakeEngine{Engine: dryrun.NewEngine(), resolvConf: resolvConf},
		network: &fakeNetwork{
			Network:  dryrun.NewNetwork(filepath.Join(dir, "net.d"), podnet.BuiltinTemplate, dir, answerAddress),
			attached: map[string]bool{},
		},
	}
	b.server = New(Config{Version: "1.2.3"}, b.engine, b.network)
	b.serve(filepath.Join(dir, "s"))
	return b
}

func (b *bench) serve(socket string) {
	b.t.Helper()
	listener, err := Listen(socket)
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- b.server.Serve(ctx, listener) }()
	connection, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-served, connection.Close()); err != nil {
			b.t.Errorf("end the server: %v", err)
		}
	})
	b.connection = connection
	b.RuntimeServiceClient = runtimeapi.NewRuntimeServiceClient(connection)
}

// goodPod is a pod that nothing is wrong with.
func goodPod(name string) *runtimeapi.PodSandboxConfig {
	return &runtimeapi.PodSandboxConfig{
		Metadata:  &runtimeapi.PodSandboxMetadata{Name: name, Namespace: "ns", Uid: "uid"},
		DnsConfig: &runtimeapi.DNSConfig{Servers: []string{"10.0.0.10"}, Searches: []string{"ns.svc"}, Options: []string{"ndots:5"}},
		Labels:    map[string]string{"app": name},
	}
}

func hostNetworkPod(name string) *runtimeapi.PodSandboxConfig {
	config := goodPod(name)
	config.Linux = &runtimeapi.LinuxPodSandboxConfig{SecurityContext: &runtimeapi.LinuxSandboxSecurityContext{
		NamespaceOptions: &runtimeapi.NamespaceOption{Network: runtimeapi.NamespaceMode_NODE}}}
	return config
}

func (b *bench) run(config *runtimeapi.PodSandboxConfig) (string, error) {
	answer, err := b.RunPodSandbox(b.t.Context(), &runtimeapi.RunPodSandboxRequest{Config: config})
	return answer.GetPodSandboxId(), err
}

func (b *bench) mustRun(config *runtimeapi.PodSandboxConfig) string {
	b.t.Helper()
	id, err := b.run(config)
	if err != nil {
		b.t.Fatal(err)
	}
	return id
}

func (b *bench) stop(id string) error {
	_, err := b.StopPodSandbox(b.t.Context(), &runtimeapi.StopPodSandboxRequest{PodSandboxId: id})
	return err
}

func (b *bench) remove(id string) error {
	_, err := b.RemovePodSandbox(b.t.Context(), &runtimeapi.RemovePodSandboxRequest{PodSandboxId: id})
	return err
}

// left says what of pods is there.
func (b *bench) left() error {
	containers, err := b.engine.Engine.List(context.Background(), nil)
	if err != nil {
		return err
	}
	b.network.mu.Lock()
	defer b.network.mu.Unlock()
	if len(containers)+len(b.network.attached) == 0 {
		return nil
	}
	return fmt.Errorf("%d containers and %d attachments are left", len(containers), len(b.network.attached))
}

func (b *bench) state(id string) runtimeapi.PodSandboxState {
	b.t.Helper()
	answer, err := b.PodSandboxStatus(b.t.Context(), &runtimeapi.PodSandboxStatusRequest{PodSandboxId: id})
	if err != nil {
		b.t.Fatal(err)
	}
	return answer.GetStatus().GetState()
}
