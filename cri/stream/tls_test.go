package stream

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// certificate is a pair of files, as an administrator would hand them over.
type certificate struct {
	t         *testing.T
	cert, key string
}

func newCertificate(t *testing.T, name string) certificate {
	t.Helper()
	dir := t.TempDir()
	c := certificate{t: t, cert: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem")}
	c.renew(name)
	return c
}

func (c certificate) config() Config { return Config{CertFile: c.cert, KeyFile: c.key} }

// renew writes a certificate for 127.0.0.1 with that name, and its key.
func (c certificate) renew(name string) {
	c.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		c.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		c.t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		c.t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{c.cert: {Type: "CERTIFICATE", Bytes: signed}, c.key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			c.t.Fatal(err)
		}
	}
}

// greet connects and returns the name in the certificate that the server shows.
func greet(s *Server, newest uint16) (string, error) {
	// That the certificate is the one written, its name tells.
	conn, err := tls.Dial("tcp", s.listener.Addr().String(), &tls.Config{InsecureSkipVerify: true, MaxVersion: newest}) //nolint:gosec
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }() // nothing was said
	return conn.ConnectionState().PeerCertificates[0].Subject.CommonName, nil
}

func TestRenewedCertificateHoldsAtOnce(t *testing.T) {
	c := newCertificate(t, "first")
	s, err := Listen(c.config(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(t.Context()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	})
	expect := func(want string) {
		t.Helper()
		if got, err := greet(s, tls.VersionTLS13); err != nil || got != want {
			t.Errorf("the server shows %q, %v, want %q", got, err, want)
		}
	}
	expect("first")
	c.renew("second")
	expect("second")
	// Half of a renewal: the key does not fit.
	other := newCertificate(t, "third")
	if err := os.Rename(other.cert, c.cert); err != nil {
		t.Fatal(err)
	}
	expect("second")
	if err := os.Rename(other.key, c.key); err != nil {
		t.Fatal(err)
	}
	expect("third")
	if name, err := greet(s, tls.VersionTLS11); err == nil {
		t.Errorf("the server speaks TLS 1.1 and shows %q", name)
	}
}
