package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mascri/mascri/cmd/mascri/machine"
)

// Where the daemon is found, and what the network is called in podnet's
// built-in configuration.
const (
	socket    = "/run/mascri/mascri.sock"
	netnsDir  = "/run/mascri/netns"
	bridge    = "mascri0"
	leasesDir = "/var/lib/cni/networks/mascri"
)

// daemonStart is how long the daemon may take until its network is ready.
const daemonStart = 30 * time.Second

// programs are what the demonstration shows its results with, besides Docker.
var programs = []machine.Need{{Program: "ip", Package: "iproute2"}, {Program: "nft", Package: "nftables"}, {Program: "iptables", Package: "iptables"}}

// host is the machine, prepared: an engine, plugins, a running daemon.
type host struct {
	out        io.Writer
	dir        string // plugins, configuration, state: the demonstration's own
	connection *grpc.ClientConn
	undo       []func(context.Context) error // in the order of preparing
}

// prepare brings the machine to where a pod can be asked for.
func (h *host) prepare(ctx context.Context, options Options) error {
	if conn, err := net.Dial("unix", socket); err == nil {
		return errors.Join(conn.Close(), fmt.Errorf("demo: a daemon answers on %s already; stop it first (systemctl stop mascri), or use it: crictl --runtime-endpoint unix://%s runp docs/examples/pod-a.json", socket, socket))
	}
	if err := machine.Provide(ctx, h.out, programs...); err != nil {
		return err
	}
	engine, err := machine.StartEngine(ctx, h.out)
	if err != nil {
		return err
	}
	h.undo = append(h.undo, engine.Stop)
	if err := h.installPlugins(options); err != nil {
		return err
	}
	h.rememberNode(ctx)
	if err := h.startDaemon(ctx, options.Program); err != nil {
		return err
	}
	return h.awaitDaemon(ctx)
}

// giveBack undoes prepare, the last thing first.
func (h *host) giveBack(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute)
	defer cancel()
	var failures []error
	for _, undo := range slices.Backward(h.undo) {
		failures = append(failures, undo(ctx))
	}
	return errors.Join(failures...)
}

// installPlugins installs what make install-plugins does, to directories that
// no other runtime looks at.
func (h *host) installPlugins(options Options) error {
	dir, err := os.MkdirTemp("", "mascri-demo-")
	if err != nil {
		return err
	}
	h.dir = dir
	h.undo = append(h.undo, func(context.Context) error { return os.RemoveAll(dir) })
	places := machine.Places{CNIBinDir: h.at("bin"), CNIConfDir: h.at("net.d")}
	files, err := places.PluginFiles(filepath.Dir(options.Program), machine.Plugins, options.Conf)
	if err != nil {
		return err
	}
	return machine.Tree{Record: places.PluginRecord(), Log: h.out}.Install(files...)
}

// at is a path in the demonstration's directory.
func (h *host) at(name string) string { return filepath.Join(h.dir, name) }

// startDaemon starts the daemon as a child, in a session of its own: Ctrl-C is
// for the demonstration, which then still needs the daemon to remove its pods.
func (h *host) startDaemon(ctx context.Context, program string) error {
	log, err := os.Create(h.at("daemon.log"))
	if err != nil {
		return err
	}
	defer log.Close() // the child has its own copy
	daemon := exec.Command(program, "serve", "--listen", "unix://"+socket, "--state-dir", h.at("state"),
		"--cni-bin-dir", h.at("bin"), "--cni-conf-dir", h.at("net.d"))
	daemon.Stdout, daemon.Stderr = log, log
	daemon.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := daemon.Start(); err != nil {
		return fmt.Errorf("start the daemon: %w", err)
	}
	h.say("started the daemon on unix://%s (process %d)", socket, daemon.Process.Pid)
	ended := make(chan error, 1)
	go func() { ended <- daemon.Wait() }()
	h.undo = append(h.undo, func(ctx context.Context) error {
		h.say("stopping the daemon")
		return endDaemon(ctx, daemon.Process, ended)
	})
	return nil
}

// endDaemon asks the daemon to end and waits until it has.
func endDaemon(ctx context.Context, daemon *os.Process, ended chan error) error {
	if err := daemon.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop the daemon: %w", err)
	}
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return errors.Join(fmt.Errorf("the daemon did not end on SIGTERM: %w", context.Cause(ctx)), daemon.Kill())
	}
}

// awaitDaemon connects and waits until the daemon says that pods can be set up.
func (h *host) awaitDaemon(ctx context.Context) error {
	var err error
	if h.connection, err = grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials())); err != nil {
		return err
	}
	h.undo = append(h.undo, func(context.Context) error { return h.connection.Close() })
	ctx, cancel := context.WithTimeout(ctx, daemonStart)
	defer cancel()
	client := runtimeapi.NewRuntimeServiceClient(h.connection)
	for {
		err := notReady(ctx, client)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			said, _ := os.ReadFile(h.at("daemon.log")) // an empty log says as much
			return fmt.Errorf("the daemon is not ready: %w\nit said:\n%s", err, said)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// notReady is why a pod cannot be set up yet, nil when it can.
func notReady(ctx context.Context, client runtimeapi.RuntimeServiceClient) error {
	answer, err := client.Status(ctx, &runtimeapi.StatusRequest{})
	if err != nil {
		return err
	}
	for _, condition := range answer.GetStatus().GetConditions() {
		if !condition.GetStatus() {
			return fmt.Errorf("%s is false: %s: %s", condition.GetType(), condition.GetReason(), condition.GetMessage())
		}
	}
	return nil
}

// say prints one line.
func (h *host) say(format string, args ...any) {
	// A demonstration without a terminal still has to take back what it made.
	_, _ = fmt.Fprintf(h.out, format+"\n", args...)
}
