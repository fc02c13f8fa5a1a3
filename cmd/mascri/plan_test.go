package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mascri/mascri/cmd/mascri/preview"
	"github.com/mascri/mascri/cri/podnet"
	"github.com/mascri/mascri/spec"
)

// planned is the script of a plan.
func planned(t *testing.T, p planFlags) (string, error) {
	t.Helper()
	attachment, err := p.attachment()
	if err != nil {
		return "", err
	}
	var script strings.Builder
	w := scriptWriter{out: &script}
	_, err = podnet.Preview(spec.WithTrace(t.Context(), w.step), "example", "/run/netns/example", attachment, preview.Run)
	return script.String(), err
}

func TestPlanIsAScript(t *testing.T) {
	script, err := planned(t, planFlags{ports: list{"192.0.2.1:8080:80", "53:53/udp"}, podCIDRs: "10.1.2.0/24,fd00:1::/64",
		annotations: list{podnet.AnnotationMAC + "=02:00:0a:01:02:07"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"ip link add mascri0 type bridge", "ip addr add 10.1.2.1/24", "ip addr add 10.1.2.2/24", "fd00:1::2/64",
		"02:00:0a:01:02:07", "8080", "ip route append 0.0.0.0/0 via 10.1.2.1"} {
		if !strings.Contains(script, want) {
			t.Errorf("no %q in\n%s", want, script)
		}
	}
}

// A plugin that is not ours is named, not guessed at.
func TestPlanOfAChain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "net.conflist")
	write := func(plugins string) {
		if err := os.WriteFile(file, []byte(`{"cniVersion": "1.0.0", "name": "net", "plugins": [`+plugins+`]}`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const ours = `{"type": "netplug", "ipam": {"type": "ipam", "subnet": "10.1.2.0/24"}}`
	write(ours + `, {"type": "other"}`)
	if script, err := planned(t, planFlags{conf: file}); err != nil || !strings.Contains(script, "# plugin other would run here") {
		t.Errorf("%s, %v", script, err)
	}
	for plugins, says := range map[string]string{
		`{"type": "other"}`: "first in its network",
		`{"type": "netplug", "ipam": {"type": "ipam", "subnet": "10.1.2.3/24"}}`:                                   "host bits",
		`{"type": "netplug", "ipam": {"type": "dhcp"}}`:                                                            "dhcp",
		`{"type": "netplug", "bridge": "much-too-long-a-name", "ipam": {"type": "ipam", "subnet": "10.1.2.0/24"}}`: "much-too-long",
	} {
		write(plugins)
		if _, err := planned(t, planFlags{conf: file}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want an error that says %q", plugins, err, says)
		}
	}
}

func TestParsePort(t *testing.T) {
	for text, want := range map[string]podnet.PortMapping{
		"8080:80":               {HostPort: 8080, ContainerPort: 80, Protocol: "tcp"},
		"53:53/udp":             {HostPort: 53, ContainerPort: 53, Protocol: "udp"},
		"192.0.2.1:8080:80/tcp": {HostIP: "192.0.2.1", HostPort: 8080, ContainerPort: 80, Protocol: "tcp"},
		"[2001:db8::1]:1:2":     {HostIP: "2001:db8::1", HostPort: 1, ContainerPort: 2, Protocol: "tcp"},
	} {
		if got, err := parsePort(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "80", "a:80", "80:a", "70000:80", "0:80", "x:80:80"} {
		if got, err := parsePort(text); err == nil {
			t.Errorf("%q: %+v, want an error", text, got)
		}
	}
}

func FuzzParsePort(f *testing.F) {
	f.Add("[2001:db8::1]:1:2/udp")
	f.Add("8080:80")
	f.Fuzz(func(t *testing.T, text string) {
		port, err := parsePort(text)
		if err == nil && (port.HostPort < 0 || port.HostPort > 65535 || port.ContainerPort < 0 || port.ContainerPort > 65535) {
			t.Errorf("%q: %+v", text, port)
		}
	})
}
