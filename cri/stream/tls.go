package stream

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"os"
	"time"
)

// selfSignedLife is that of the generated certificate. It lives in memory, so a
// restart makes a new one.
const selfSignedLife = 10 * 365 * 24 * time.Hour

// tlsConfig returns nil when TLS is off.
func (c Config) tlsConfig() (*tls.Config, error) {
	var certificate tls.Certificate
	var err error
	switch {
	case c.CertFile != "":
		certificate, err = tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
	case c.SelfSigned:
		certificate, err = selfSign(c.Address)
	default:
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("streaming TLS certificate: %w", err)
	}
	return &tls.Config{
		Certificates: []tls.Certificate{certificate},
		MinVersion:   tls.VersionTLS12,
		// Both protocols upgrade an HTTP/1.1 connection.
		NextProtos: []string{"http/1.1"},
	}, nil
}

// selfSign makes a certificate for the host of address, this machine's name and
// loopback.
func selfSign(address string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make a key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make a serial number: %w", err)
	}
	// An hour back, for clients whose clock is behind.
	start := time.Now().Add(-time.Hour)
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "mascri streaming"},
		NotBefore:    start,
		NotAfter:     start.Add(selfSignedLife),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		DNSNames:     []string{"localhost"},
	}
	if name, err := os.Hostname(); err == nil {
		template.DNSNames = append(template.DNSNames, name)
	}
	if host, _, err := net.SplitHostPort(address); err == nil && host != "" {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("sign: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
