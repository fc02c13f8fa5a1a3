//go:build e2e && linux

package test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mascri/mascri/cri/podnet"
)

// A node is a machine with a daemon on it, as a kubelet sees it.
type node struct {
	runtimeapi.RuntimeServiceClient

	t       *testing.T
	dir     string   // configuration, state, socket: the test's own
	network string   // daemon's --network
	flags   []string // further ones of the daemon's
	engine  string   // daemon's --docker-host
	daemon  *exec.Cmd
	log     string // the daemon's, a file
	ended   chan struct{}
}

// newNode is a node with the default network, changed by the given functions,
// whose daemon runs until the test ends. Every pod that is left by then is
// removed, and then nothing may be left.
func newNode(t *testing.T, changes ...func(*node)) *node {
	t.Helper()
	// Not t.TempDir, which has the test's name in it: a socket's path ends at
	// 107 bytes (unix(7)).
	dir, err := os.MkdirTemp("/run", "node-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // the last one: start's reads the daemon's log
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	n := &node{t: t, dir: dir, network: "cni"}
	for _, change := range changes {
		change(n)
	}
	conflist, err := podnet.DefaultConflist(nil)
	if err != nil {
		t.Fatal(err)
	}
	n.configure("10-mascri.conflist", string(conflist))
	n.start()
	n.connect()
	t.Cleanup(func() {
		n.removeAll()
		n.stopDaemon(syscall.SIGTERM)
		n.assertNothingLeft()
		n.forgetNetwork()
	})
	return n
}

// within is the same node for a subtest, which then fails in its own name.
func (n *node) within(t *testing.T) *node {
	inner := *n
	inner.t = t
	return &inner
}

// forgetNetwork removes what the node's pods shared: no pod's removal does, and
// the next test's network may have another gateway.
func (n *node) forgetNetwork() {
	n.t.Helper()
	links, err := net.Interfaces()
	if err != nil {
		n.t.Fatal(err)
	}
	ctx, cancel := testContext()
	defer cancel()
	for _, link := range links {
		if strings.HasPrefix(link.Name, "mascri") {
			output(n.t, ctx, "ip", "link", "delete", link.Name)
		}
	}
	// "add" first: deleting a table that is not there is an error.
	output(n.t, ctx, "nft", "add table ip mascri; delete table ip mascri; add table ip6 mascri; delete table ip6 mascri")
}

// configure puts a network configuration into place as tools do it: written
// beside, then renamed.
func (n *node) configure(name, content string) {
	n.t.Helper()
	dir := filepath.Join(n.dir, "net.d")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		n.t.Fatal(err)
	}
	temporary := filepath.Join(dir, "."+name+".tmp")
	if err := os.WriteFile(temporary, []byte(content), 0o644); err != nil {
		n.t.Fatal(err)
	}
	if err := os.Rename(temporary, filepath.Join(dir, name)); err != nil {
		n.t.Fatal(err)
	}
}

// unconfigure removes a network configuration.
func (n *node) unconfigure(name string) {
	n.t.Helper()
	if err := os.Remove(filepath.Join(n.dir, "net.d", name)); err != nil {
		n.t.Fatal(err)
	}
}

// socket is where the daemon listens.
func (n *node) socket() string { return filepath.Join(n.dir, "run", "mascri.sock") }

// netns is where the daemon pins a pod's network namespace.
func (n *node) netns(id string) string { return filepath.Join(n.dir, "run", "netns", id) }

// start starts the daemon. Its log becomes the test's, if the test fails.
func (n *node) start() {
	n.t.Helper()
	log, err := os.CreateTemp(n.dir, "daemon-*.log")
	if err != nil {
		n.t.Fatal(err)
	}
	defer log.Close() // the child has its own copy
	n.log = log.Name()
	n.daemon = exec.Command(program("mascri"), append([]string{"serve",
		"--listen", "unix://" + n.socket(),
		"--run-dir", filepath.Join(n.dir, "run"),
		"--state-dir", filepath.Join(n.dir, "state"),
		"--cni-conf-dir", filepath.Join(n.dir, "net.d"),
		"--cni-bin-dir", os.Getenv(binEnv),
		"--network", n.network,
		"--docker-host", n.engine}, n.flags...)...)
	n.daemon.Stdout, n.daemon.Stderr = log, log
	if err := n.daemon.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.ended = make(chan struct{})
	go func(daemon *exec.Cmd, ended chan struct{}) {
		_ = daemon.Wait() // by a signal, mostly
		close(ended)
	}(n.daemon, n.ended)
	n.t.Cleanup(func() {
		if text, err := os.ReadFile(log.Name()); err == nil && n.t.Failed() {
			n.t.Logf("the daemon said:\n%s", text)
		}
	})
}

// connect opens the client and waits until the daemon answers.
func (n *node) connect() {
	n.t.Helper()
	// The library's own wait between attempts begins at a second.
	often := grpc.WithConnectParams(grpc.ConnectParams{
		Backoff: backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.5, MaxDelay: 200 * time.Millisecond}, MinConnectTimeout: time.Second})
	connection, err := grpc.NewClient("unix://"+n.socket(), grpc.WithTransportCredentials(insecure.NewCredentials()), often)
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { _ = connection.Close() }) // nothing is buffered
	n.RuntimeServiceClient = runtimeapi.NewRuntimeServiceClient(connection)
	n.awaitAnswer()
}

// awaitAnswer waits until the daemon serves; with hundreds of pods to recover
// that takes a while.
func (n *node) awaitAnswer() {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), time.Minute)
	defer cancel()
	for {
		_, err := n.Version(ctx, &runtimeapi.VersionRequest{}, grpc.WaitForReady(true))
		if err == nil {
			return
		}
		if ctx.Err() != nil { // else it was the last daemon's connection that broke
			n.t.Fatalf("the daemon does not answer: %v", err)
		}
	}
}

// stopDaemon ends the daemon with a signal and waits until it is gone.
func (n *node) stopDaemon(signal syscall.Signal) {
	n.t.Helper()
	if err := n.daemon.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		n.t.Fatal(err)
	}
	select {
	case <-n.ended:
	case <-time.After(20 * time.Second):
		n.t.Fatalf("the daemon did not end within 20 s of %s", signal)
	}
}

// restart ends the daemon and starts it again.
func (n *node) restart(signal syscall.Signal) {
	n.t.Helper()
	n.stopDaemon(signal)
	n.start()
	n.awaitAnswer()
}

// run creates a pod; a failure ends the test.
func (n *node) run(config *runtimeapi.PodSandboxConfig) string {
	n.t.Helper()
	answer, err := n.RunPodSandbox(n.t.Context(), &runtimeapi.RunPodSandboxRequest{Config: config})
	if err != nil {
		n.t.Fatalf("RunPodSandbox: %v", err)
	}
	return answer.GetPodSandboxId()
}

// status asks for a pod's status; a failure ends the test.
func (n *node) status(id string) *runtimeapi.PodSandboxStatus {
	n.t.Helper()
	answer, err := n.PodSandboxStatus(n.t.Context(), &runtimeapi.PodSandboxStatusRequest{PodSandboxId: id})
	if err != nil {
		n.t.Fatalf("PodSandboxStatus: %v", err)
	}
	return answer.GetStatus()
}

// addresses are a pod's, the primary one first.
func (n *node) addresses(id string) (all []netip.Addr) {
	n.t.Helper()
	network := n.status(id).GetNetwork()
	texts := []string{network.GetIp()}
	for _, more := range network.GetAdditionalIps() {
		texts = append(texts, more.GetIp())
	}
	for _, text := range texts {
		address, err := netip.ParseAddr(text)
		if err != nil {
			n.t.Fatalf("the addresses of pod %s are %q: %v", id, texts, err)
		}
		all = append(all, address)
	}
	return all
}

// list asks for the pods that a filter lets through.
func (n *node) list(filter *runtimeapi.PodSandboxFilter) []*runtimeapi.PodSandbox {
	n.t.Helper()
	answer, err := n.ListPodSandbox(n.t.Context(), &runtimeapi.ListPodSandboxRequest{Filter: filter})
	if err != nil {
		n.t.Fatalf("ListPodSandbox: %v", err)
	}
	return answer.GetItems()
}

// stop stops a pod; a failure ends the test.
func (n *node) stop(id string) {
	n.t.Helper()
	if _, err := n.StopPodSandbox(n.t.Context(), &runtimeapi.StopPodSandboxRequest{PodSandboxId: id}); err != nil {
		n.t.Fatalf("StopPodSandbox: %v", err)
	}
}

// remove removes a pod; a failure ends the test.
func (n *node) remove(id string) {
	n.t.Helper()
	if _, err := n.RemovePodSandbox(n.t.Context(), &runtimeapi.RemovePodSandboxRequest{PodSandboxId: id}); err != nil {
		n.t.Fatalf("RemovePodSandbox: %v", err)
	}
}

// removeAll removes every pod, at the end of a test: its context is done then.
func (n *node) removeAll() {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	answer, err := n.ListPodSandbox(ctx, &runtimeapi.ListPodSandboxRequest{})
	if err != nil {
		n.t.Errorf("ListPodSandbox: %v", err)
	}
	for _, pod := range answer.GetItems() {
		if _, err := n.RemovePodSandbox(ctx, &runtimeapi.RemovePodSandboxRequest{PodSandboxId: pod.GetId()}); err != nil {
			n.t.Errorf("RemovePodSandbox: %v", err)
		}
	}
}

// podConfig is a pod as a kubelet would describe it, changed by the given
// functions.
func podConfig(name string, changes ...func(*runtimeapi.PodSandboxConfig)) *runtimeapi.PodSandboxConfig {
	config := &runtimeapi.PodSandboxConfig{
		Metadata: &runtimeapi.PodSandboxMetadata{Name: name, Namespace: "test", Uid: "uid-" + name},
		Hostname: name,
		Linux:    &runtimeapi.LinuxPodSandboxConfig{},
	}
	for _, change := range changes {
		change(config)
	}
	return config
}

// hostPort is a change for podConfig.
func hostPort(protocol runtimeapi.Protocol, host, container int32) func(*runtimeapi.PodSandboxConfig) {
	return func(c *runtimeapi.PodSandboxConfig) {
		c.PortMappings = append(c.PortMappings, &runtimeapi.PortMapping{Protocol: protocol, HostPort: host, ContainerPort: container})
	}
}

// conflist is the default network with other words in it: pairs of old and new.
func conflist(t *testing.T, podCIDRs ...string) string {
	t.Helper()
	var prefixes []netip.Prefix
	for _, text := range podCIDRs {
		prefixes = append(prefixes, netip.MustParsePrefix(text))
	}
	content, err := podnet.DefaultConflist(prefixes)
	if err != nil {
		t.Fatal(fmt.Errorf("the default network for %v: %w", podCIDRs, err))
	}
	return string(content)
}
