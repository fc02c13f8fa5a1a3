package stream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/cri-streaming/pkg/streaming/portforward"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
)

const (
	// headerTimeout bounds a client that connects and says nothing.
	headerTimeout = 10 * time.Second
	maxHeader     = 64 << 10
)

// Server answers the three streaming calls with URLs and serves those URLs.
type Server struct {
	config   Config
	engine   Engine
	log      *slog.Logger
	base     *url.URL
	tokens   *tokens
	listener *listener
	http     *http.Server
	serving  chan error
	sessions *gate
}

// Listen opens the server's socket, and serves it until Close. Errors say which
// setting is wrong or which address is taken.
func Listen(config Config, engine Engine) (*Server, error) {
	config, err := config.validate()
	if err != nil {
		return nil, err
	}
	secure, err := config.tlsConfig()
	if err != nil {
		return nil, err
	}
	socket, err := net.Listen(config.protocol(), config.Address)
	if err != nil {
		return nil, fmt.Errorf("streaming server: %w", err)
	}
	base, err := config.baseURL(socket.Addr())
	if err != nil {
		return nil, errors.Join(err, socket.Close())
	}
	s := &Server{
		config:   config,
		engine:   engine,
		log:      config.Log,
		base:     base,
		tokens:   newTokens(config.TokenLife),
		listener: newListener(socket, config.Lifetime),
		serving:  make(chan error, 1),
		sessions: newGate(),
	}
	s.http = &http.Server{
		Handler:           s.routes(),
		ConnContext:       connContext,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       headerTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	go s.serve(secure)
	return s, nil
}

func (s *Server) serve(secure *tls.Config) {
	var l net.Listener = s.listener
	if secure != nil {
		l = tls.NewListener(l, secure)
	}
	s.serving <- s.http.Serve(l)
}

// URL is the base that clients are told.
func (s *Server) URL() string { return s.base.String() }

// Failed delivers the error that ended serving before Close, if one does.
func (s *Server) Failed() <-chan error { return s.serving }

// Close stops accepting, lets sessions end by themselves until ctx does, then
// closes those left. No session is running when it returns.
func (s *Server) Close(ctx context.Context) error {
	// Shutdown waits for connections that are not upgraded; the others are ours.
	err := s.http.Shutdown(ctx)
	done := s.sessions.close()
	select {
	case <-done:
	case <-ctx.Done():
	}
	s.listener.closeAll(errShutdown)
	<-done
	if err != nil && !errors.Is(err, ctx.Err()) {
		return fmt.Errorf("close the streaming server: %w", err)
	}
	return nil
}

// routes are the base URL's path and below it /exec/TOKEN and its likes. SPDY
// clients POST, WebSocket clients GET.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	for method, serve := range map[string]func(http.ResponseWriter, *http.Request, any) bool{
		"exec": s.serveExec, "attach": s.serveAttach, "portforward": s.servePortForward,
	} {
		handler := s.redeem(serve)
		mux.HandleFunc("GET "+s.base.Path+method+"/{token}", handler)
		mux.HandleFunc("POST "+s.base.Path+method+"/{token}", handler)
	}
	return mux
}

// redeem turns the token into its request. A token is spent even when it turns
// out to be another method's.
func (s *Server) redeem(serve func(http.ResponseWriter, *http.Request, any) bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !s.sessions.enter() {
			http.Error(w, errShutdown.Error(), http.StatusServiceUnavailable)
			return
		}
		defer s.sessions.leave()
		request, ok := s.tokens.redeem(r.PathValue("token"))
		if !ok || !serve(w, r, request) {
			http.Error(w, "unknown, used or expired URL: ask the runtime for a new one", http.StatusNotFound)
		}
	}
}

// Exec answers the CRI's Exec: a URL that runs the command when it is opened.
func (s *Server) Exec(r *cri.ExecRequest) (*cri.ExecResponse, error) {
	if len(r.GetCmd()) == 0 {
		return nil, status.Error(codes.InvalidArgument, "exec: cmd is empty")
	}
	streams := Streams{r.GetStdin(), r.GetStdout(), r.GetStderr(), r.GetTty()}
	address, err := s.issue("exec", "container_id", r.GetContainerId(), streams, r)
	return &cri.ExecResponse{Url: address}, err
}

// Attach answers the CRI's Attach: a URL that joins the container's streams.
func (s *Server) Attach(r *cri.AttachRequest) (*cri.AttachResponse, error) {
	streams := Streams{r.GetStdin(), r.GetStdout(), r.GetStderr(), r.GetTty()}
	address, err := s.issue("attach", "container_id", r.GetContainerId(), streams, r)
	return &cri.AttachResponse{Url: address}, err
}

// PortForward answers the CRI's PortForward: a URL that reaches ports in the
// sandbox's network namespace.
func (s *Server) PortForward(r *cri.PortForwardRequest) (*cri.PortForwardResponse, error) {
	for _, port := range r.GetPort() {
		if port < 1 || port > 65535 {
			return nil, status.Errorf(codes.InvalidArgument, "portforward: port %d is not in 1..65535", port)
		}
	}
	address, err := s.issue("portforward", "pod_sandbox_id", r.GetPodSandboxId(), Streams{Stdin: true}, r)
	return &cri.PortForwardResponse{Url: address}, err
}

func (s *Server) issue(method, field, id string, streams Streams, request any) (string, error) {
	switch {
	case id == "":
		return "", status.Errorf(codes.InvalidArgument, "%s: %s is empty", method, field)
	case streams.TTY && streams.Stderr:
		return "", status.Errorf(codes.InvalidArgument, "%s: a terminal has no separate stderr: set tty or stderr, not both", method)
	case !streams.Stdin && !streams.Stdout && !streams.Stderr:
		return "", status.Errorf(codes.InvalidArgument, "%s: set at least one of stdin, stdout and stderr", method)
	}
	token, err := s.tokens.issue(request)
	if err != nil {
		return "", err
	}
	return s.base.JoinPath(method, token).String(), nil
}

func (s *Server) serveExec(w http.ResponseWriter, r *http.Request, request any) bool {
	exec, ok := request.(*cri.ExecRequest)
	if !ok {
		return false
	}
	streams := Streams{exec.GetStdin(), exec.GetStdout(), exec.GetStderr(), exec.GetTty()}
	options := remotecommand.Options(streams)
	remotecommand.ServeExec(w, r, execer{s, streams}, "", "", exec.GetContainerId(), exec.GetCmd(), &options,
		s.config.Idle, remotecommand.DefaultStreamCreationTimeout, remotecommand.SupportedStreamingProtocols)
	return true
}

func (s *Server) serveAttach(w http.ResponseWriter, r *http.Request, request any) bool {
	attach, ok := request.(*cri.AttachRequest)
	if !ok {
		return false
	}
	streams := Streams{attach.GetStdin(), attach.GetStdout(), attach.GetStderr(), attach.GetTty()}
	options := remotecommand.Options(streams)
	remotecommand.ServeAttach(w, r, execer{s, streams}, "", "", attach.GetContainerId(), &options,
		s.config.Idle, remotecommand.DefaultStreamCreationTimeout, remotecommand.SupportedStreamingProtocols)
	return true
}

func (s *Server) servePortForward(w http.ResponseWriter, r *http.Request, request any) bool {
	forward, ok := request.(*cri.PortForwardRequest)
	if !ok {
		return false
	}
	f := newForwarder(r.Context(), s.engine)
	portforward.ServePortForward(w, r, f, forward.GetPodSandboxId(), "", &portforward.V4Options{Ports: forward.GetPort()},
		s.config.Idle, remotecommand.DefaultStreamCreationTimeout, portforward.SupportedProtocols)
	// The library starts a goroutine a forwarded connection and leaves them.
	<-f.active.close()
	return true
}
