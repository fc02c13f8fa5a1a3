package cri

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/mascri/mascri/cri/podnet"
	"github.com/mascri/mascri/spec"
)

// writeResolvConf writes the pod's DNS settings into the file that the engine
// mounts as /etc/resolv.conf in the sandbox and in all containers that share its
// network: what the pod asks for, else what its network recommends, else the
// engine's own choice stays.
func (s *Server) writeResolvConf(ctx context.Context, pod pod, path string, network podnet.Result) error {
	dns := pod.dns()
	if dns.IsZero() {
		dns = network.DNS
	}
	if dns.IsZero() || s.config.RemoteEngine {
		return nil
	}
	if path == "" {
		return fmt.Errorf("write the DNS settings: the engine names no resolv.conf for the sandbox")
	}
	content := resolvConf(dns)
	return spec.Do(ctx, "cri", fmt.Sprintf("printf %q > %s", content, path), func() error {
		return overwrite(path, content)
	})
}

// resolvConf is the file's content, see resolv.conf(5).
func resolvConf(dns podnet.DNS) []byte {
	var text bytes.Buffer
	if len(dns.Searches) > 0 {
		fmt.Fprintf(&text, "search %s\n", strings.Join(dns.Searches, " "))
	}
	for _, server := range dns.Servers {
		fmt.Fprintf(&text, "nameserver %s\n", server)
	}
	if len(dns.Options) > 0 {
		fmt.Fprintf(&text, "options %s\n", strings.Join(dns.Options, " "))
	}
	return text.Bytes()
}

// overwrite replaces the content of a file that must keep its inode: the file
// is bind-mounted into the container, where a renamed one would not show.
func overwrite(path string, content []byte) error {
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, content) {
		return nil
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return fmt.Errorf("write the DNS settings (is the engine's data root visible here?): %w", err)
	}
	_, err = file.Write(content)
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("write the DNS settings: %w", err)
	}
	return nil
}
