package stream

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"sync/atomic"
)

// tlsConfig returns nil when TLS is off.
func (c Config) tlsConfig() (*tls.Config, error) {
	if c.CertFile == "" {
		return nil, nil
	}
	p := &keyPair{certFile: c.CertFile, keyFile: c.KeyFile, log: c.Log}
	certificate, err := p.read()
	if err != nil {
		return nil, fmt.Errorf("streaming TLS certificate: %w", err)
	}
	p.last.Store(certificate)
	return &tls.Config{
		GetCertificate: p.get,
		MinVersion:     tls.VersionTLS12,
		// Both protocols upgrade an HTTP/1.1 connection.
		NextProtos: []string{"http/1.1"},
	}, nil
}

// keyPair is a certificate that somebody else renews.
type keyPair struct {
	certFile, keyFile string
	log               *slog.Logger
	last              atomic.Pointer[tls.Certificate] // that could be read
}

func (p *keyPair) read() (*tls.Certificate, error) {
	certificate, err := tls.LoadX509KeyPair(p.certFile, p.keyFile)
	return &certificate, err
}

// get reads the files anew: connections are few, and that costs less than to
// start the command behind one. Between the two writes of a renewal they do not
// fit together; then the last pair that did serves on.
func (p *keyPair) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	certificate, err := p.read()
	if err != nil {
		p.log.Warn("the streaming certificate cannot be read; the last one that could stays in use",
			"certificate", p.certFile, "key", p.keyFile, "error", err)
		return p.last.Load(), nil
	}
	p.last.Store(certificate)
	return certificate, nil
}
