package demo

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mascri/mascri/spec"
)

func TestPrintTrace(t *testing.T) {
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	steps := []spec.Step{
		{Actor: "netplug", Command: "nft -f - <<END\none\ntwo\nthree\nfour\nEND", Start: began.Add(2), Duration: time.Millisecond},
		{Actor: "cri", Command: "RunPodSandbox", Start: began, Duration: 1500 * time.Microsecond},
		{Actor: "ipam", Command: "ipam ADD", Start: began.Add(1), Error: "no address left"},
	}
	var out bytes.Buffer
	printTrace(&out, steps)
	want := `  1  cri         1.50 ms  RunPodSandbox
  2  ipam        0.00 ms  ipam ADD
                          ! no address left
  3  netplug     1.00 ms  nft -f - <<END
                          one
                          two
                          … and 3 lines more
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("the printed trace (-want +got):\n%s", diff)
	}
}

func TestCompareFailsWhereSomethingIsLeft(t *testing.T) {
	running := []remainder{{"leases", []string{"10.22.0.2"}}}
	cases := map[string]struct {
		before, after []remainder
		want          string
	}{
		"nothing is left":       {before: running, after: []remainder{{kind: "leases"}}},
		"a lease is left":       {before: running, after: running, want: "leases: 10.22.0.2 left behind"},
		"it never saw anything": {before: []remainder{{kind: "leases"}}, after: []remainder{{kind: "leases"}}, want: "leases: none was seen"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			d := &demonstration{host: &host{out: &bytes.Buffer{}}}
			err := d.compare(c.before, c.after)
			if (err != nil) != (c.want != "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("compare = %v, want %q", err, c.want)
			}
		})
	}
}
