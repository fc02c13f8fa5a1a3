package monitor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/mascri/mascri/cri/podnet"
)

const (
	// headerTimeout bounds a client that connects and says nothing.
	headerTimeout = 10 * time.Second
	// aliveTimeout and readyTimeout bound the two questions. Docker takes
	// seconds for its facts on a loaded machine.
	aliveTimeout = 2 * time.Second
	readyTimeout = 5 * time.Second
	// maxScrapes bounds how many scrapes are answered at once.
	maxScrapes = 4
)

// Config of a Server.
type Config struct {
	// Address is ADDRESS:PORT of a loopback interface; port 0 takes a free one.
	Address string
	// Profiles adds Go's profiles below /debug/pprof/. They tell every user of
	// this machine what the daemon is doing, and cost it time.
	Profiles bool

	Metrics *Metrics
	Probe   *Probe
	// Usage counts the addresses in use; nil where the network mode knows none.
	Usage func(context.Context) ([]podnet.Usage, error)
	Log   *slog.Logger
}

// CheckAddress says whether a Server may listen on an address: nothing that it
// serves asks who wants to know.
func CheckAddress(address string) error {
	parsed, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("expected ADDRESS:PORT such as 127.0.0.1:9465: %w", err)
	}
	if !parsed.Addr().IsLoopback() {
		return errors.New("expected a loopback address such as 127.0.0.1:9465: there is no authentication, so to be read from elsewhere it needs a proxy that has one")
	}
	return nil
}

// Server serves /metrics, /healthz, /readyz and, if asked to, /debug/pprof/.
type Server struct {
	http     *http.Server
	listener net.Listener
	log      *slog.Logger
	served   chan struct{} // closed when serving has ended
}

// Listen opens the address and serves it until Close.
func Listen(config Config) (*Server, error) {
	if err := CheckAddress(config.Address); err != nil {
		return nil, fmt.Errorf("listen on %s for monitoring: %w", config.Address, err)
	}
	if err := config.Metrics.registry.Register(&state{config.Probe, config.Usage, config.Log}); err != nil {
		return nil, fmt.Errorf("collect metrics: %w", err)
	}
	listener, err := net.Listen("tcp", config.Address)
	if err != nil {
		return nil, fmt.Errorf("listen for monitoring: %w", err)
	}
	s := &Server{
		http: &http.Server{
			Handler:           routes(config),
			ReadHeaderTimeout: headerTimeout,
			ErrorLog:          slog.NewLogLogger(config.Log.Handler(), slog.LevelDebug),
		},
		listener: listener,
		log:      config.Log,
		served:   make(chan struct{}),
	}
	go s.serve()
	return s, nil
}

func (s *Server) serve() {
	defer close(s.served)
	if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		s.log.Error("monitoring ended; the daemon goes on without it", "error", err)
	}
}

// Address is where the server listens; it names the port where 0 was asked for.
func (s *Server) Address() string { return s.listener.Addr().String() }

// Close ends the server. A scrape under way is cut off: there will be another.
func (s *Server) Close() error {
	err := s.http.Close()
	<-s.served
	return err
}

func routes(config Config) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(config.Metrics.registry, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(config.Log.Handler(), slog.LevelWarn),
		MaxRequestsInFlight: maxScrapes,
	}))
	mux.Handle("GET /healthz", verdict(aliveTimeout, config.Probe.Alive))
	mux.Handle("GET /readyz", verdict(readyTimeout, config.Probe.Ready))
	if config.Profiles {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return mux
}

// verdict answers 200 and "ok", or 503 and the reason.
func verdict(timeout time.Duration, check func(context.Context) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), timeout)
		defer cancel()
		if err := check(ctx); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = fmt.Fprintln(w, "ok") // to a client that may have gone
	})
}
