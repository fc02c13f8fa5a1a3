package stream

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// The defaults of Config. Idle is that of the kubelet
// (streamingConnectionIdleTimeout).
const (
	DefaultAddress   = "127.0.0.1:0"
	DefaultIdle      = 4 * time.Hour
	DefaultLifetime  = 24 * time.Hour
	DefaultTokenLife = time.Minute
)

// Config of a Server. The zero value serves plain HTTP on a free port of
// 127.0.0.1, which only processes of this machine reach. The kubelet proxies
// streams, so that is enough for a node.
type Config struct {
	// Address to listen on, host:port. Port 0 takes a free one.
	Address string
	// BaseURL is what clients are told, when they reach the server by another
	// address than it listens on: a proxy's, with a path if need be.
	BaseURL string
	// CertFile and KeyFile, both PEM, switch TLS on. They are read for each
	// connection, so a renewed certificate holds at once.
	CertFile, KeyFile string
	// Idle closes a session without traffic, Lifetime any session.
	Idle, Lifetime time.Duration
	// TokenLife is how long a URL waits to be used.
	TokenLife time.Duration
	// Log takes what goes wrong in sessions; nil is slog.Default().
	Log *slog.Logger
}

// validate fills in the defaults and says what is wrong.
func (c Config) validate() (Config, error) {
	setDefault(&c.Address, DefaultAddress)
	setDefault(&c.Idle, DefaultIdle)
	setDefault(&c.Lifetime, DefaultLifetime)
	setDefault(&c.TokenLife, DefaultTokenLife)
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if _, _, err := net.SplitHostPort(c.Address); err != nil {
		return c, fmt.Errorf("streaming address %q: want host:port: %w", c.Address, err)
	}
	if c.Idle < 0 || c.Lifetime < 0 || c.TokenLife < 0 {
		return c, errors.New("streaming timeouts must be positive, or 0 for the default")
	}
	if (c.CertFile == "") != (c.KeyFile == "") {
		return c, errors.New("streaming TLS needs both a certificate and a key file")
	}
	return c, nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// protocol has 0.0.0.0 mean what it says: net.Listen takes it, for "tcp", for
// the addresses of both families.
func (c Config) protocol() string {
	if address, err := netip.ParseAddrPort(c.Address); err == nil && address.Addr().Is4() {
		return "tcp4"
	}
	return "tcp"
}

// baseURL is the URL that tokens are appended to; it ends in a slash. listening
// is the address really in use, which names the port where 0 was asked for.
func (c Config) baseURL(listening net.Addr) (*url.URL, error) {
	scheme := "http"
	if c.CertFile != "" {
		scheme = "https"
	}
	if c.BaseURL == "" {
		return &url.URL{Scheme: scheme, Host: reachable(listening), Path: "/"}, nil
	}
	u, err := url.Parse(c.BaseURL)
	if err != nil {
		return nil, fmt.Errorf("streaming base URL: %w", err)
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("streaming base URL %q: want http://host:port/path or https", c.BaseURL)
	}
	if !strings.HasSuffix(u.Path, "/") {
		u.Path += "/"
	}
	return u, nil
}

// reachable turns an address to listen on into one to connect to: nobody can
// connect to 0.0.0.0.
func reachable(a net.Addr) string {
	tcp, ok := a.(*net.TCPAddr)
	if !ok || !tcp.IP.IsUnspecified() {
		return a.String()
	}
	host := "127.0.0.1"
	if tcp.IP.To4() == nil {
		host = "::1"
	}
	return net.JoinHostPort(host, fmt.Sprint(tcp.Port))
}
