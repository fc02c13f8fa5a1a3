package cri

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

const (
	// maxMessage bounds one gRPC message; it is the kubelet's own bound.
	maxMessage = 16 << 20
	// DefaultShutdownGrace is how long calls under way may take once the server
	// has to end; what is cut off then is undone or recovered.
	DefaultShutdownGrace = 20 * time.Second
	// undoGrace is how long calls that were cut off may then take to undo what
	// they did, and to kill what they ran. The rest is for the next Recover.
	undoGrace = 5 * time.Second
)

// Listen opens the unix socket at path, for this user alone: whoever can write
// to it can run anything as root. A socket that a dead server left is replaced.
// What a live server answers on, what is no socket, and a directory in which
// other users could put a socket of their own in its place are errors.
func Listen(path string) (net.Listener, error) {
	listener, err := listen(path)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	return listener, nil
}

func listen(path string) (net.Listener, error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := checkDirectory(dir); err != nil {
		return nil, err
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	// Born closed: others could connect between bind(2) and a chmod(2).
	defer syscall.Umask(syscall.Umask(0o177))
	return net.Listen("unix", path)
}

// checkDirectory refuses a directory whose entries others may replace. With the
// sticky bit, as /tmp has it, they may replace only their own (inode(7)).
func checkDirectory(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if mode := info.Mode(); mode.Perm()&0o022 != 0 && mode&os.ModeSticky == 0 {
		return fmt.Errorf("directory %s has mode %04o, so other users could put a socket of their own there: chmod go-w %s, or choose another with --listen", dir, mode.Perm(), dir)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if ok && stat.Uid != 0 && int(stat.Uid) != os.Geteuid() {
		return fmt.Errorf("directory %s belongs to user %d, who could put another socket there: chown %d %s, or choose another with --listen", dir, stat.Uid, os.Geteuid(), dir)
	}
	return nil
}

// removeStale removes the socket of a server that is gone.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != os.ModeSocket {
		return errors.New("there is something that is no socket: move it away, or choose another path with --listen")
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		// Nothing was said on the connection that closing it could lose.
		_ = conn.Close()
		return errors.New("another server answers there: stop it, or choose another socket with --listen")
	}
	// Any other answer, EAGAIN of a full backlog say, comes from a live server.
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("whether a server answers there is not to be found out: %w", err)
	}
	return os.Remove(path)
}

// Serve answers calls on the listener until ctx ends. Then it takes no more,
// ends streams, lets the calls under way finish for Config.ShutdownGrace, and
// waits a little for those that it cut off. It closes the listener.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	server := grpc.NewServer(
		grpc.UnaryInterceptor(s.unary),
		grpc.StreamInterceptor(s.streamUntil(ctx)),
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.MaxSendMsgSize(maxMessage),
		grpc.WaitForHandlers(true),
		grpc.ForceServerCodecV2(newCodec()),
		// A goroutine made for a call has to grow its stack first. Where all of
		// these are busy, one is made.
		grpc.NumStreamWorkers(uint32(runtime.NumCPU())),
	)
	s.register(server)
	wellbeing := health.NewServer() // says SERVING as long as it is asked
	healthpb.RegisterHealthServer(server, wellbeing)

	var settling sync.WaitGroup
	defer settling.Wait()
	background, cancel := context.WithCancel(ctx)
	defer cancel()
	settling.Go(func() { s.settle(background) })

	overdue := make(chan struct{})
	defer context.AfterFunc(ctx, func() {
		defer time.AfterFunc(s.config.ShutdownGrace, server.Stop).Stop()
		defer time.AfterFunc(s.config.ShutdownGrace+s.undoGrace, func() { close(overdue) }).Stop()
		wellbeing.Shutdown()
		server.GracefulStop()
	})()
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		if errors.Is(err, grpc.ErrServerStopped) && ctx.Err() != nil {
			return nil // told to stop before it began
		}
		return err
	case <-overdue:
		s.log.Warn("calls that were cut off are still being undone; what they leave is cleared up at the next start")
		return nil
	}
}
