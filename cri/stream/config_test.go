package stream

import (
	"net"
	"strings"
	"testing"
)

func TestConfigRefuses(t *testing.T) {
	for name, c := range map[string]Config{
		"address without port":  {Address: "127.0.0.1"},
		"negative timeout":      {Idle: -1},
		"certificate alone":     {CertFile: "cert.pem"},
		"base URL without host": {BaseURL: "/cri/"},
		"base URL with a query": {BaseURL: "http://node/?a=b"},
		"missing certificate":   {CertFile: "/nonexistent", KeyFile: "/nonexistent"},
	} {
		if s, err := Listen(c, nil); err == nil {
			t.Errorf("%s: accepted", name)
			_ = s.http.Close()
		}
	}
}

func TestDefaultIsLoopback(t *testing.T) {
	c, err := Config{}.validate()
	if err != nil {
		t.Fatal(err)
	}
	host, _, err := net.SplitHostPort(c.Address)
	if err != nil || !net.ParseIP(host).IsLoopback() {
		t.Errorf("default address %s is not on loopback", c.Address)
	}
}

// A server on every address of a family is reached by loopback of that family.
func TestURLOfEveryAddress(t *testing.T) {
	s, err := Listen(Config{Address: "0.0.0.0:0"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.http.Close() }() // nobody is connected
	if !strings.HasPrefix(s.URL(), "http://127.0.0.1:") {
		t.Errorf("clients of 0.0.0.0 are sent to %s", s.URL())
	}
}

func TestBaseURL(t *testing.T) {
	listening := &net.TCPAddr{IP: net.IPv4zero, Port: 4000}
	for want, c := range map[string]Config{
		"http://127.0.0.1:4000/":  {},
		"https://127.0.0.1:4000/": {CertFile: "c", KeyFile: "k"},
		"http://node:10/cri/":     {BaseURL: "http://node:10/cri"},
	} {
		if u, err := c.baseURL(listening); err != nil || u.String() != want {
			t.Errorf("base URL %v, %v, want %s", u, err, want)
		}
	}
	if u, err := (Config{}).baseURL(&net.TCPAddr{IP: net.IPv6unspecified, Port: 1}); err != nil || u.Host != "[::1]:1" {
		t.Errorf("base URL %v, %v, want host [::1]:1", u, err)
	}
}
