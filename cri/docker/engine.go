package docker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/docker/docker/api/types/versions"
	"github.com/docker/docker/client"
)

const (
	// minAPI is the oldest engine API spoken: Docker 20.10.
	minAPI = "1.41"
	// defaultCallTimeout bounds a request whose context has no deadline. A
	// start on a loaded machine takes seconds; two minutes is the kubelet's
	// own bound for most calls.
	defaultCallTimeout = 2 * time.Minute
)

// Engine is a connection to one Docker engine. It is safe for concurrent use.
type Engine struct {
	client  *client.Client
	host    string
	log     *slog.Logger
	timeout time.Duration
	observe func(operation string, took time.Duration, err error)
	limit   limiter

	version Version
	info    atomic.Pointer[Info] // as of the last Info call

	pause    pauseImage
	removals imageRemovals
	oom      oomFloor
	accounts accountCache
}

// Option changes a default of Connect.
type Option func(*Engine)

// WithLogger sets where the adapter logs; the default discards.
func WithLogger(log *slog.Logger) Option {
	return func(e *Engine) { e.log = log }
}

// WithCallTimeout bounds each request to the engine that is not itself
// waiting for a container, an image or an event. Default: 2 minutes.
func WithCallTimeout(d time.Duration) Option {
	return func(e *Engine) { e.timeout = d }
}

// WithStartLimit sets how many creates and starts may be under way at once;
// further ones wait their turn. An engine asked for more than it has cores for
// does not get faster, only later (docs/measurements.md). Default:
// DefaultStartLimit.
func WithStartLimit(n int) Option {
	return func(e *Engine) { e.limit = newLimiter(n) }
}

// DefaultStartLimit is twice the number of cores, at least 4.
func DefaultStartLimit() int { return max(4, 2*runtime.NumCPU()) }

// WithObserver has f told of every request to the engine: the operation's name
// ("create sandbox", "start", of which there are some two dozen), its duration,
// and its error as the caller will see it. The wait for a turn, see
// WithStartLimit, is one more. f must not block.
func WithObserver(f func(operation string, took time.Duration, err error)) Option {
	return func(e *Engine) { e.observe = f }
}

// WithStateDir has e keep in dir, which may not exist yet, what it found out of
// the engine by trying. Without it each Engine tries anew.
func WithStateDir(dir string) Option {
	return func(e *Engine) { e.oom.stateDir = dir }
}

// Connect opens the engine at host ("unix:///var/run/docker.sock",
// "tcp://127.0.0.1:2375"; "" means DOCKER_HOST and its TLS variables, else the
// platform's default socket), agrees on an API version between 1.41 and the
// newest both sides know, and reads the engine's facts once. It fails with
// ErrUnavailable when the engine does not answer and with ErrUnsupported when
// it is older than Docker 20.10.
func Connect(ctx context.Context, host string, options ...Option) (*Engine, error) {
	e := &Engine{
		log:      slog.New(slog.DiscardHandler),
		timeout:  defaultCallTimeout,
		observe:  func(string, time.Duration, error) {},
		limit:    newLimiter(DefaultStartLimit()),
		oom:      oomFloor{turn: newLimiter(1)},
		accounts: accountCache{turn: newLimiter(1), files: map[string]accountFiles{}},
	}
	for _, option := range options {
		option(e)
	}
	source := client.FromEnv
	if host != "" {
		source = client.WithHost(host)
	}
	var err error
	if e.client, err = client.NewClientWithOpts(source, client.WithAPIVersionNegotiation()); err != nil {
		return nil, fmt.Errorf("set up the client of Docker engine %q: %w", host, err)
	}
	e.host = e.client.DaemonHost()
	if err := e.greet(ctx); err != nil {
		return nil, errors.Join(err, e.client.Close())
	}
	return e, nil
}

// greet makes first contact: API version, engine version, facts.
func (e *Engine) greet(ctx context.Context) error {
	err := e.call(ctx, "reach", "Docker engine", func(ctx context.Context) error {
		ping, err := e.client.Ping(ctx)
		if err == nil {
			e.client.NegotiateAPIVersionPing(ping)
		}
		return err
	})
	if err != nil {
		return err
	}
	if api := e.client.ClientVersion(); versions.LessThan(api, minAPI) {
		return fmt.Errorf("engine at %s speaks API %s, need %s (Docker 20.10) or newer: %w",
			e.host, api, minAPI, ErrUnsupported)
	}
	if e.version, err = e.Version(ctx); err != nil {
		return err
	}
	_, err = e.Info(ctx)
	return err
}

// Close releases the connections to the engine. Running streams end.
func (e *Engine) Close() error { return e.client.Close() }

// Host is the address of the engine, as a URL.
func (e *Engine) Host() string { return e.host }

// inTurn runs f when no more creates and starts are under way than the limit
// says. How long that took is observed too: it is where load shows.
func (e *Engine) inTurn(ctx context.Context, f func() error) error {
	const operation = "wait for a turn"
	begin := time.Now()
	admitted := false
	err := e.limit.do(ctx, func() error {
		admitted = true
		e.observe(operation, time.Since(begin), nil)
		return f()
	})
	if !admitted {
		e.observe(operation, time.Since(begin), err)
	}
	return err
}

// call makes one request: bounded, observed, its error classified and wrapped
// with the operation and what it was done to.
func (e *Engine) call(ctx context.Context, operation, object string, request func(context.Context) error) error {
	return e.callWithin(ctx, e.timeout, operation, object, request)
}

// callWithin is call with a bound of its own, for requests that wait.
func (e *Engine) callWithin(ctx context.Context, bound time.Duration, operation, object string,
	request func(context.Context) error) error {
	bounded, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	begin := time.Now()
	err := request(bounded)
	if err != nil {
		err = fmt.Errorf("%s %s: %w", operation, object, e.explain(ctx, bounded, bound, err))
	}
	e.observe(operation, time.Since(begin), err)
	return err
}

// explain classifies a request's error and, where the engine itself is the
// trouble, says what to look at.
func (e *Engine) explain(ctx, bounded context.Context, bound time.Duration, err error) error {
	if ctx.Err() != nil {
		return err // the caller's own deadline or cancellation
	}
	if bounded.Err() != nil {
		return fmt.Errorf("%w: %s gave no answer within %s", ErrUnavailable, e.host, bound)
	}
	if client.IsErrConnectionFailed(err) {
		return fmt.Errorf("%w: is dockerd running, does DOCKER_HOST name its socket, may this user open it? %w",
			ErrUnavailable, err)
	}
	return classify(err)
}
