package ipam

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mascri/mascri/spec"
)

// FuzzConfig: whatever is accepted keeps the promises of Config, and an
// address chosen under it lies in its range and is not the gateway.
func FuzzConfig(f *testing.F) {
	for _, ipam := range []string{
		`{"subnet":"10.1.2.0/24"}`, `{"subnet":"::ffff:10.1.2.0/120"}`, `{"ranges":[[{"subnet":"fd00::/64","gateway":"fd00::9"}]]}`,
		`{"subnet":"0.0.0.0/0"}`, `{"subnet":"::/0"}`, `{"subnet":"255.255.255.252/30","rangeEnd":"255.255.255.255"}`,
		`{"subnet":"10.1.2.0/24","rangeStart":"10.1.2.1","rangeEnd":"10.1.2.1"}`,
		`{"ranges":[[{"subnet":"10.1.2.0/24"},{"subnet":"10.1.3.0/24"}],[]]}`, `{"routes":[null],"ranges":[null]}`, `[]`,
	} {
		f.Add([]byte(network(ipam)), "IP=10.1.2.9")
	}
	f.Add([]byte(`{"name":"../x","ipam":{"subnet":"10.1.2.0/24"}}`), "IP=10.1.2.3/33;MAC=;IgnoreUnknown=true;A=b")
	f.Fuzz(func(t *testing.T, config []byte, cniArgs string) {
		if _, err := parseRelease(config); err != nil && spec.CodeOf(err) != spec.InvalidConfig {
			t.Fatalf("parseRelease: %v", err)
		}
		args, err := spec.ParseArgs(cniArgs)
		if err != nil {
			return
		}
		c, err := ParseConfig(config, args)
		if err != nil {
			if code := spec.CodeOf(err); code != spec.InvalidConfig && code != spec.InvalidEnv {
				t.Fatalf("code %d: %v", code, err)
			}
			return
		}
		if filepath.Base(c.Network) != c.Network || c.Network[0] == '.' {
			t.Fatalf("network name %q", c.Network)
		}
		s := situation{last: func(int) netip.Addr { return netip.Addr{} }, used: newUsedSet(nothingUsed)}
		chosen, err := allocate(c, s)
		for _, l := range chosen {
			if !l.Range.contains(l.Addr) || l.Addr == l.Range.Gateway {
				t.Fatalf("%s is leased from %s", l.Addr, l.Range)
			}
		}
		if err == nil && len(chosen) != len(c.Sets) {
			t.Fatalf("%d leases for %d sets", len(chosen), len(c.Sets))
		}
	})
}

// FuzzLeaseFile puts any content in a file with any name beside a real lease:
// every verb ends, and the real lease is neither lost nor leased again.
func FuzzLeaseFile(f *testing.F) {
	for _, content := range []string{"", "c1", "c1\r\neth0", "live\r\neth0", "\x00\x00", "c1\r\n", "\r\neth0", "a\r\nb\r\nc"} {
		f.Add("10.1.2.3", content)
	}
	f.Add("last_reserved_ip.0", "10.1.2.1")
	f.Add("::ffff:10.1.2.2", "live\r\neth0")
	f.Add("010.1.2.2", "live\r\neth0")
	f.Fuzz(func(t *testing.T, name, content string) {
		if name == "" || name[0] == '.' || strings.ContainsAny(name, "/\x00") || len(name) > 200 || name == "lock" || name == "10.1.2.2" {
			return
		}
		n := newNode(t, `"subnet":"10.1.2.0/29"`)
		n.must("ADD", "live")
		n.write(name, content)
		before := len(n.leases())
		n.run("ADD", "c1")
		n.run("CHECK", "c1")
		n.must("DEL", "c1")
		if trimLease([]byte(content)) != "live\r\neth0" { // else it is the live one's as well
			n.must("CHECK", "live")
		}
		if len(n.leases()) > before {
			t.Fatalf("leases %v", n.leases())
		}
		n.valid("live/eth0")
		n.must("GC", "")
		if content, err := os.ReadFile(n.path("10.1.2.2")); err != nil || string(content) != "live\r\neth0" {
			t.Fatalf("the live lease is lost: %q %v", content, err)
		}
		n.consistent()
	})
}

// FuzzResolvConf: any file gives settings without spaces in them, or an error.
func FuzzResolvConf(f *testing.F) {
	f.Add([]byte("nameserver 10.0.0.1\n# no\n;no\nsearch a b\ndomain c\noptions ndots:5 timeout:1\nnameserver\n"))
	f.Add([]byte(strings.Repeat("x", 70000)))
	f.Fuzz(func(t *testing.T, content []byte) {
		dns, err := parseResolvConf(bytes.NewReader(content))
		if err != nil {
			return
		}
		for _, list := range [][]string{dns.Nameservers, dns.Search, dns.Options, {dns.Domain}} {
			for _, word := range list {
				if strings.ContainsAny(word, " \t\n\r") {
					t.Fatalf("%q has space in it", word)
				}
			}
		}
	})
}

// FuzzRun gives the whole plugin any configuration and CNI_ARGS: it answers
// with a result or an error object, and stays in its data directory.
func FuzzRun(f *testing.F) {
	f.Add(`{"cniVersion":"1.1.0","name":"net","ipam":{"dataDir":"DIR","subnet":"10.1.2.0/24"}}`, "")
	f.Add(`{"cniVersion":"0.2.0","name":"net","ipam":{"dataDir":"DIR","subnet":"10.1.2.0/24"},"args":{"cni":{"ips":["10.1.2.9"]}}}`, "IP=10.1.2.8;K8S_POD_NAME=a")
	f.Fuzz(func(t *testing.T, config, args string) {
		dir := t.TempDir()
		quoted, err := json.Marshal(dir)
		if err != nil {
			t.Fatal(err)
		}
		config = strings.ReplaceAll(config, `"DIR"`, string(quoted))
		if !strings.Contains(config, string(quoted)) || strings.Count(strings.ToLower(config), "datadir") != 1 {
			return // it would use the machine's own directory
		}
		if got, err := parseRelease([]byte(config)); err != nil || got != dir {
			return
		}
		for _, command := range []string{"ADD", "DEL"} {
			var stdout, stderr bytes.Buffer
			code := Plugin().Run(context.Background(), environment(command, "c1", "eth0", args), strings.NewReader(config), &stdout, &stderr)
			var a answer
			if stdout.Len() > 0 {
				if err := json.Unmarshal(stdout.Bytes(), &a); err != nil {
					t.Fatalf("%s prints %q", command, stdout.String())
				}
			}
			if code != 0 && (a.Code == 0 || a.Code == spec.Internal) {
				t.Fatalf("%s: exit code %d with %s", command, code, stdout.String())
			}
		}
	})
}

// FuzzIndex: whatever stands in the index under a valid seal, no live lease is
// lost, none is handed out again, and the next GC puts the index right.
func FuzzIndex(f *testing.F) {
	f.Add("10.1.2.2", bytes.Repeat([]byte{0xff}, chunkSize/8))
	f.Add("10.1.2.2,10.1.2.3", make([]byte, chunkSize/8))
	f.Add("fd00::2", []byte{4})
	f.Add("../../lock", []byte(nil))
	f.Fuzz(func(t *testing.T, owned string, bitmap []byte) {
		if owned == "" || strings.Contains(owned, "\x00") || len(owned) > 4000 {
			return // no symlink says so
		}
		n := newNode(t, `"subnet":"10.1.2.0/29"`)
		n.must("ADD", "live")
		x := index{dir: filepath.Join(n.dir, privateDir, "net"), leases: n.path("")}
		entry := x.ownerFile("live\r\neth0")
		if err := errors.Join(os.Remove(entry), os.Symlink(owned, entry), os.WriteFile(x.chunkFile(netip.MustParseAddr("10.1.0.0")), bitmap, 0o600)); err != nil {
			t.Fatal(err)
		}
		if a := n.run("ADD", "c1"); a.Code == 0 && a.addresses() == "10.1.2.2" {
			t.Error("a live address is leased again")
		}
		n.run("CHECK", "live")
		n.must("DEL", "c1")
		n.valid("live/eth0")
		n.must("GC", "")
		n.holds("10.1.2.2=live/eth0")
		n.must("CHECK", "live")
		n.consistent()
	})
}
