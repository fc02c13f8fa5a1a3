package spec

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	current "github.com/containernetworking/cni/pkg/types/100"
)

// probe records which verb ran; what it returns the test chooses.
type probe struct {
	ran    string
	result *current.Result
	err    error
	seen   *Request
}

func (p *probe) plugin() Plugin {
	verb := func(name string) func(context.Context, *Request) error {
		return func(_ context.Context, r *Request) error {
			p.ran += name
			p.seen = r
			return p.err
		}
	}
	return Plugin{
		Name: "probe", About: "a probe",
		Add: func(_ context.Context, r *Request) (*current.Result, error) {
			p.ran, p.seen = p.ran+"ADD", r
			return p.result, p.err
		},
		Del: verb("DEL"), Check: verb("CHECK"), GC: verb("GC"), Status: verb("STATUS"),
	}
}

const config = `{"cniVersion":"1.1.0","name":"net","type":"probe"}`

// environment is a valid one with some variables replaced, or removed by "-".
func environment(t *testing.T, changes ...string) []string {
	t.Helper()
	netns := filepath.Join(t.TempDir(), "ns")
	if err := os.WriteFile(netns, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{
		"CNI_COMMAND": "ADD", "CNI_CONTAINERID": "c1", "CNI_NETNS": netns, "CNI_IFNAME": "eth0", "CNI_PATH": "/nowhere",
	}
	for _, change := range changes {
		key, value, _ := strings.Cut(change, "=")
		env[key] = value
		if value == "-" {
			delete(env, key)
		}
	}
	var out []string
	for key, value := range env {
		out = append(out, key+"="+value)
	}
	return out
}

func TestBadInputReachesNoVerb(t *testing.T) {
	tests := []struct {
		name    string
		env     []string
		stdin   string
		code    Code
		culprit string
	}{
		{"unknown command", []string{"CNI_COMMAND=FLY"}, config, InvalidEnv, "FLY"},
		{"no container ID", []string{"CNI_CONTAINERID=-"}, config, InvalidEnv, "CNI_CONTAINERID"},
		{"no netns", []string{"CNI_NETNS=-"}, config, InvalidEnv, "CNI_NETNS"},
		{"no interface name", []string{"CNI_IFNAME=-"}, config, InvalidEnv, "CNI_IFNAME"},
		{"container ID is a path", []string{"CNI_CONTAINERID=../../etc"}, config, InvalidEnv, "../../etc"},
		{"container ID with a slash", []string{"CNI_CONTAINERID=a/b"}, config, InvalidEnv, "a/b"},
		{"container ID of 256 bytes", []string{"CNI_CONTAINERID=" + strings.Repeat("a", 256)}, config, InvalidEnv, "256"},
		{"interface name of 16 bytes", []string{"CNI_IFNAME=abcdefghijklmnop"}, config, InvalidEnv, "16 bytes"},
		{"interface name is a path", []string{"CNI_IFNAME=.."}, config, InvalidEnv, ".."},
		{"interface name with a slash", []string{"CNI_IFNAME=a/b"}, config, InvalidEnv, "a/b"},
		{"interface name with a colon", []string{"CNI_IFNAME=a:1"}, config, InvalidEnv, "a:1"},
		{"interface name with a space", []string{"CNI_IFNAME=a b"}, config, InvalidEnv, "a b"},
		{"args without a value", []string{"CNI_ARGS=A=1;B"}, config, InvalidEnv, `"B"`},
		{"the caller's own netns", []string{"CNI_NETNS=/proc/self/ns/net"}, config, InvalidNetns, "should not be the same"},
		{"no JSON", nil, `{"cniVersion":`, Decode, "decode"},
		{"empty stdin", nil, ``, Decode, "decode"},
		{"a list", nil, `[]`, Decode, "decode"},
		{"no name", nil, `{"cniVersion":"1.1.0"}`, InvalidConfig, "name"},
		{"name is a path", nil, `{"cniVersion":"1.1.0","name":"../x"}`, InvalidConfig, "../x"},
		{"name begins with a dot", nil, `{"cniVersion":"1.1.0","name":".x"}`, InvalidConfig, ".x"},
		{"unknown version", nil, `{"cniVersion":"9.9.9","name":"net"}`, IncompatibleVersion, "9.9.9"},
		{"CHECK before 0.4.0", []string{"CNI_COMMAND=CHECK"}, `{"cniVersion":"0.3.1","name":"net"}`, IncompatibleVersion, "config version does not allow CHECK"},
		{"GC before 1.1.0", []string{"CNI_COMMAND=GC"}, `{"cniVersion":"1.0.0","name":"net"}`, IncompatibleVersion, "does not allow GC"},
		{"STATUS before 1.1.0", []string{"CNI_COMMAND=STATUS"}, `{"cniVersion":"1.0.0","name":"net"}`, IncompatibleVersion, "does not allow STATUS"},
		{"GC without the list", []string{"CNI_COMMAND=GC"}, config, InvalidConfig, "cni.dev/valid-attachments"},
		{"prevResult is no result", nil, `{"cniVersion":"1.1.0","name":"net","prevResult":{"ips":7}}`, Decode, "prevResult"},
		{"prevResult has a null", nil, `{"cniVersion":"1.1.0","name":"net","prevResult":{"cniVersion":"1.1.0","ips":[{"address":"10.1.2.3/24"},null]}}`, Decode, "ips[1] is null"},
		{"prevResult of old has a null", nil, `{"cniVersion":"0.4.0","name":"net","prevResult":{"cniVersion":"0.4.0","interfaces":[null]}}`, Decode, "interfaces[0] is null"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var p probe
			var stdout, stderr bytes.Buffer
			code := p.plugin().Run(context.Background(), environment(t, tt.env...), strings.NewReader(tt.stdin), &stdout, &stderr)
			var e errorObject
			if err := json.Unmarshal(stdout.Bytes(), &e); err != nil || code != 1 {
				t.Fatalf("exit %d, %q is no error object: %v", code, stdout.String(), err)
			}
			if e.Code != tt.code || !strings.Contains(e.Msg, tt.culprit) {
				t.Errorf("code %d %q, expected code %d naming %q", e.Code, e.Msg, tt.code, tt.culprit)
			}
			if p.ran != "" {
				t.Errorf("%s ran all the same", p.ran)
			}
		})
	}
}

func TestVerbsRun(t *testing.T) {
	tests := []struct {
		name  string
		env   []string
		stdin string
		ran   string
	}{
		{"DEL without a netns", []string{"CNI_COMMAND=DEL", "CNI_NETNS=-"}, config, "DEL"},
		{"DEL with the host's netns", []string{"CNI_COMMAND=DEL", "CNI_NETNS=/proc/self/ns/net"}, config, "DEL"},
		{"DEL with an unreadable prevResult", []string{"CNI_COMMAND=DEL"}, `{"cniVersion":"1.1.0","name":"net","prevResult":7}`, "DEL"},
		{"DEL without CNI_PATH", []string{"CNI_COMMAND=DEL", "CNI_PATH=-"}, config, "DEL"},
		{"CHECK", []string{"CNI_COMMAND=CHECK"}, config, "CHECK"},
		{"STATUS without an attachment", []string{"CNI_COMMAND=STATUS", "CNI_CONTAINERID=-", "CNI_NETNS=-", "CNI_IFNAME=-"}, config, "STATUS"},
		{"GC with an empty list", []string{"CNI_COMMAND=GC"}, `{"cniVersion":"1.1.0","name":"net","cni.dev/valid-attachments":[]}`, "GC"},
		{"GC with a null list", []string{"CNI_COMMAND=GC"}, `{"cniVersion":"1.1.0","name":"net","cni.dev/valid-attachments":null}`, "GC"},
		{"GC with the older key", []string{"CNI_COMMAND=GC"}, `{"cniVersion":"1.1.0","name":"net","cni.dev/attachments":[{"containerID":"a","ifname":"b"}]}`, "GC"},
		{"own netns by request", []string{"CNI_COMMAND=DEL", "CNI_NETNS=/proc/self/ns/net", "CNI_NETNS_OVERRIDE=1"}, config, "DEL"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var p probe
			var stdout, stderr bytes.Buffer
			code := p.plugin().Run(context.Background(), environment(t, tt.env...), strings.NewReader(tt.stdin), &stdout, &stderr)
			if code != 0 || p.ran != tt.ran || stdout.Len() > 0 {
				t.Errorf("exit %d, ran %q, stdout %q; expected %s and no output", code, p.ran, stdout.String(), tt.ran)
			}
		})
	}
}

func TestResultIsInTheConfigsVersion(t *testing.T) {
	for _, version := range AllVersions {
		p := probe{result: &current.Result{IPs: []*current.IPConfig{{Address: mustCIDR(t, "10.1.2.3/24")}}}}
		var stdout, stderr bytes.Buffer
		in := fmt.Sprintf(`{"cniVersion":%q,"name":"net"}`, version)
		if code := p.plugin().Run(context.Background(), environment(t), strings.NewReader(in), &stdout, &stderr); code != 0 {
			t.Fatalf("%s: %s", version, stdout.String())
		}
		var result struct{ CNIVersion string }
		if err := json.Unmarshal(stdout.Bytes(), &result); err != nil || result.CNIVersion != version {
			t.Errorf("config %s, result %q, %v", version, result.CNIVersion, err)
		}
	}
}

// TestUnprintableResultIsUndone: 0.2.0 cannot say "no address".
func TestUnprintableResultIsUndone(t *testing.T) {
	p := probe{result: &current.Result{}}
	var stdout, stderr bytes.Buffer
	code := p.plugin().Run(context.Background(), environment(t), strings.NewReader(`{"cniVersion":"0.2.0","name":"net"}`), &stdout, &stderr)
	if code != 1 || p.ran != "ADDDEL" || !strings.Contains(stdout.String(), "cannot convert: no valid IP addresses") {
		t.Errorf("exit %d, ran %q, %s", code, p.ran, stdout.String())
	}
}

func TestVersionEchoesTheInput(t *testing.T) {
	for in, want := range map[string]string{`{"cniVersion":"0.4.0"}`: "0.4.0", "": "1.1.0", `{"cniVersion":"7.0.0"}`: "1.1.0"} {
		var p probe
		var stdout, stderr bytes.Buffer
		code := p.plugin().Run(context.Background(), []string{"CNI_COMMAND=VERSION"}, strings.NewReader(in), &stdout, &stderr)
		var v struct {
			CNIVersion        string
			SupportedVersions []string
		}
		if err := json.Unmarshal(stdout.Bytes(), &v); err != nil || code != 0 || v.CNIVersion != want || len(v.SupportedVersions) != len(AllVersions) {
			t.Errorf("VERSION of %q: exit %d, %s, %v", in, code, stdout.String(), err)
		}
	}
}

func TestPanicBecomesAnErrorObject(t *testing.T) {
	plugin := Plugin{Name: "p", Status: func(context.Context, *Request) error { panic("boom") }}
	var stdout, stderr bytes.Buffer
	code := plugin.Run(context.Background(), []string{"CNI_COMMAND=STATUS"}, strings.NewReader(config), &stdout, &stderr)
	if code != 1 || !strings.Contains(stdout.String(), "boom") || !strings.Contains(stdout.String(), fmt.Sprint(int(Internal))) {
		t.Errorf("exit %d, %s", code, stdout.String())
	}
}

func TestCodeOf(t *testing.T) {
	busy := Errorf(TryAgain, "busy")
	for want, err := range map[Code]error{
		TryAgain:      fmt.Errorf("wrapped: %w", busy),
		Store:         Errorf(Store, "outer: %w", busy),
		Internal:      errors.New("plain"),
		InvalidConfig: errors.Join(errors.New("plain"), Errorf(InvalidConfig, "second")),
	} {
		if got := CodeOf(err); got != want {
			t.Errorf("CodeOf(%v) = %d, expected %d", err, got, want)
		}
	}
	if CodeOf(context.DeadlineExceeded) != TryAgain {
		t.Error("a deadline is not worth another try")
	}
}
