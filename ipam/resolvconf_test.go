package ipam

import (
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/google/go-cmp/cmp"
)

func TestResolvConf(t *testing.T) {
	got, err := parseResolvConf(strings.NewReader("# a comment\n; another\n\n nameserver 10.0.0.1\nnameserver fd00::1 ignored\nnameserver\ndomain example.org\nsearch a.org\tb.org\noptions ndots:5 debug\nunknown word\nsearch c.org"))
	if err != nil {
		t.Fatal(err)
	}
	want := types.DNS{Nameservers: []string{"10.0.0.1", "fd00::1"}, Domain: "example.org", Search: []string{"a.org", "b.org", "c.org"}, Options: []string{"ndots:5", "debug"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := parseResolvConf(strings.NewReader(strings.Repeat("#\n", maxResolvConf))); err == nil {
		t.Error("a file of two megabytes is read")
	}
}
