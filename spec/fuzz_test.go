package spec

import (
	"bytes"
	"context"
	"os/exec"
	"path/filepath"
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

// FuzzNames: what passes is one path element, and an interface name that the
// kernel takes.
func FuzzNames(f *testing.F) {
	for _, seed := range []string{"net", "a.b-c_d", "..", "a/b", "eth0", "eth0.100", "a\x00b", strings.Repeat("x", 256)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if CheckName(s) == nil && (filepath.Base(s) != s || filepath.Join("/d", s) != "/d/"+s || len(s) > 255) {
			t.Errorf("%q passes as a name", s)
		}
		if CheckIfName(s) == nil && (filepath.Base(s) != s || s == ".." || len(s) > 15 || strings.ContainsAny(s, " \t\n:\x00")) {
			t.Errorf("%q passes as an interface name", s)
		}
	})
}

// FuzzDelegated: whatever a delegate prints, there is a result or an error with
// a code, for each version of the protocol.
func FuzzDelegated(f *testing.F) {
	for _, seed := range []string{
		`{"cniVersion":"1.1.0","ips":[{"address":"10.1.2.3/24","gateway":"10.1.2.1"}],"routes":[{"dst":"0.0.0.0/0"}],"dns":{}}`,
		`{"cniVersion":"0.2.0","ip4":{"ip":"10.1.2.3/24","routes":[{"dst":"0.0.0.0/0"}]}}`, `{"ips":null}`, `null`, ``,
		`{"code":11,"msg":"busy"}`, `{"code":-1,"msg":""}`,
	} {
		f.Add("1.0.0", []byte(seed))
	}
	f.Fuzz(func(t *testing.T, version string, out []byte) {
		r := &Request{Version: version}
		result, err := r.delegatedResult(out)
		if (result == nil) != (err != nil) {
			t.Errorf("result %v, error %v", result, err)
		}
		if failed := pluginError("child", out, &exec.ExitError{}); failed.Error() == "" {
			t.Error("an error that says nothing")
		}
	})
}
