package ipam

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/mascri/mascri/spec"
)

// maxResolvConf bounds the file, in bytes: libc's resolver reads three name
// servers and six domains of it.
const maxResolvConf = 1 << 20

// readResolvConf reads the DNS settings that go into the result.
func readResolvConf(path string) (types.DNS, error) {
	if path == "" {
		return types.DNS{}, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return types.DNS{}, spec.Errorf(spec.InvalidConfig, "ipam.resolvConf: %w", err)
	}
	defer file.Close()
	dns, err := parseResolvConf(file)
	if err != nil {
		return types.DNS{}, spec.Errorf(spec.InvalidConfig, "ipam.resolvConf %s: %w", path, err)
	}
	return dns, nil
}

// parseResolvConf reads resolv.conf(5). Lines it does not know are left out,
// as the resolver does; so is a keyword without a value.
func parseResolvConf(r io.Reader) (types.DNS, error) {
	var dns types.DNS
	limited := &io.LimitedReader{R: r, N: maxResolvConf + 1}
	lines := bufio.NewScanner(limited)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		switch words[0] {
		case "nameserver":
			dns.Nameservers = append(dns.Nameservers, words[1])
		case "domain":
			dns.Domain = words[1]
		case "search":
			dns.Search = append(dns.Search, words[1:]...)
		case "options":
			dns.Options = append(dns.Options, words[1:]...)
		}
	}
	if err := lines.Err(); err != nil {
		return types.DNS{}, err
	}
	if limited.N == 0 {
		return types.DNS{}, fmt.Errorf("is larger than %d bytes", maxResolvConf)
	}
	return dns, nil
}
