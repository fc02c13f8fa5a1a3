package cri

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/grpc"
)

const (
	// maxMessage bounds one gRPC message; it is the kubelet's own bound.
	maxMessage = 16 << 20
	// shutdownGrace is how long calls under way may take once the server has
	// to end; what is cut off then is undone or recovered.
	shutdownGrace = 20 * time.Second
)

// Listen opens the unix socket at path, for this user alone: whoever can write
// to it can run anything as root. A socket that a dead server left is replaced;
// one that a live server answers on is an error.
func Listen(path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	if conn, err := net.DialTimeout("unix", path, time.Second); err == nil {
		// Nothing was said on the connection that closing it could lose.
		_ = conn.Close()
		return nil, fmt.Errorf("listen on %s: another server answers there: stop it or choose another socket", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("listen on %s: %w", path, err), listener.Close())
	}
	return listener, nil
}

// Serve answers calls on the listener until ctx ends, then lets those under way
// finish for a while.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	server := grpc.NewServer(
		grpc.UnaryInterceptor(s.unary),
		grpc.StreamInterceptor(s.stream),
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.MaxSendMsgSize(maxMessage),
	)
	s.register(server)

	settling, cancel := context.WithCancel(ctx)
	defer cancel()
	go s.settle(settling)
	stop := context.AfterFunc(ctx, func() {
		hurry := time.AfterFunc(shutdownGrace, server.Stop)
		defer hurry.Stop()
		s.endStreams()
		server.GracefulStop()
	})
	defer stop()
	return server.Serve(listener)
}
