package cri

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/mascri/mascri/cri/podnet"
)

func TestResolvConf(t *testing.T) {
	for want, dns := range map[string]podnet.DNS{
		"nameserver 10.0.0.10\nnameserver fd00::a\n": {Servers: []string{"10.0.0.10", "fd00::a"}},
		"search a b.c\n":             {Searches: []string{"a", "b.c"}},
		"options ndots:5 edns0\n":    {Options: []string{"ndots:5", "edns0"}},
		"search a\nnameserver ::1\n": {Servers: []string{"::1"}, Searches: []string{"a"}},
	} {
		if got := string(resolvConf(dns)); got != want {
			t.Errorf("%v: %q, want %q", dns, got, want)
		}
	}
}

// The file is mounted into containers, so its inode is what they see.
func TestOverwriteKeepsTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(path, []byte("something longer than the new content"), 0o644); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := overwrite(path, []byte("new\n")); err != nil {
		t.Fatal(err)
	}
	after, err := os.Stat(path)
	if err != nil || !os.SameFile(before, after) || after.Size() != 4 {
		t.Errorf("the file was replaced or holds more than it should: %v, %v", after, err)
	}
	if err := overwrite(path+".gone", nil); err == nil {
		t.Error("a missing file was created: the container would not see it")
	}
}
