package spec

import (
	"bytes"
	"context"
	"strings"
	"testing"

	current "github.com/containernetworking/cni/pkg/types/100"
)

// FuzzConfig: whatever comes on stdin, a verb sees only names that can be file
// names, and the answer is one JSON object.
func FuzzConfig(f *testing.F) {
	for _, seed := range []string{config, `{}`, `{"name":"a","prevResult":{}}`, `{"cniVersion":"1.1.0","name":"net","cni.dev/valid-attachments":[{}]}`, "\x00"} {
		f.Add("GC", seed)
		f.Add("CHECK", seed)
	}
	f.Fuzz(func(t *testing.T, command, stdin string) {
		plugin := Plugin{Name: "fuzz", Add: func(context.Context, *Request) (*current.Result, error) { return &current.Result{}, nil }}
		verb := func(_ context.Context, r *Request) error {
			if err := CheckName(r.Name); err != nil || strings.ContainsAny(r.Name, "/\x00") {
				t.Errorf("a verb saw the network name %q", r.Name)
			}
			return nil
		}
		plugin.Del, plugin.Check, plugin.GC, plugin.Status = verb, verb, verb, verb
		var stdout, stderr bytes.Buffer
		env := []string{"CNI_COMMAND=" + command, "CNI_CONTAINERID=c", "CNI_IFNAME=eth0", "CNI_NETNS=/nowhere"}
		code := plugin.Run(context.Background(), env, strings.NewReader(stdin), &stdout, &stderr)
		if code != 0 && !strings.HasPrefix(stdout.String(), "{") {
			t.Errorf("exit %d and %q", code, stdout.String())
		}
	})
}

// FuzzArgs: what was parsed can be written and parsed again.
func FuzzArgs(f *testing.F) {
	for _, seed := range []string{"", "A=1", "A=1;B=2;", "A", "=1", ";;", "K8S_POD_NAME=x;IgnoreUnknown=1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		args, err := ParseArgs(s)
		if err != nil {
			return
		}
		var pairs []string
		for _, a := range args {
			pairs = append(pairs, a.Key+"="+a.Value)
		}
		again, err := ParseArgs(strings.Join(pairs, ";"))
		if err != nil || len(again) != len(args) {
			t.Errorf("%q became %q, %v", s, pairs, err)
		}
	})
}

// FuzzParseStep: a line of stderr is a step or it is not; nothing else happens.
func FuzzParseStep(f *testing.F) {
	f.Add([]byte(`{"cniStep":{"actor":"a","command":"ip link"}}`))
	f.Add([]byte(`{"cniStep":null}`))
	f.Add([]byte(`plain text`))
	f.Fuzz(func(t *testing.T, line []byte) {
		if step, ok := ParseStep(line); !ok && step != (Step{}) {
			t.Errorf("%q: %+v", line, step)
		}
	})
}
