package conformance

import (
	"testing"
)

// TestOutputs: a result and an error object are told apart, and from anything
// else.
func TestOutputs(t *testing.T) {
	for name, c := range map[string]struct {
		stdout                string
		result, isErrorObject bool
	}{
		"result":        {`{"cniVersion":"1.1.0","ips":[{"address":"10.0.0.2/24"}]}` + "\n", true, false},
		"error":         {`{"cniVersion":"1.1.0","code":7,"msg":"no"}`, false, true},
		"nothing":       {" \n", false, false},
		"two documents": {`{"ips":[]}{"code":7,"msg":"no"}`, false, false},
		"text after":    {`{"ips":[]} done`, false, false},
		"text":          {`failed`, false, false},
		"a list":        {`[]`, false, false},
		"wrong type":    {`{"ips":"10.0.0.2/24","code":"7","msg":"no"}`, false, false},
		"negative code": {`{"code":-1,"msg":"no"}`, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := parseResult(c.stdout); (err == nil) != c.result {
				t.Errorf("read as a result: %v", err)
			}
			if _, err := parseError(c.stdout); (err == nil) != c.isErrorObject {
				t.Errorf("read as an error object: %v", err)
			}
		})
	}
}

// FuzzOutputs: whatever a plugin prints, the suite survives it.
func FuzzOutputs(f *testing.F) {
	f.Add(`{"cniVersion":"1.1.0","interfaces":[{"name":"eth0","sandbox":"/run/netns/a"}],"ips":[{"address":"10.0.0.2/24","interface":0}],"routes":[{"dst":"0.0.0.0/0","table":1}],"dns":{"nameservers":["192.0.2.1"]}}`)
	f.Add(`{"code":7,"msg":"no","details":"x"}`)
	f.Add(`{}{}`)
	f.Add(`null`)
	f.Fuzz(func(t *testing.T, stdout string) {
		if r, err := parseResult(stdout); err == nil && r.raw == nil {
			t.Errorf("%q is a result without keys", stdout)
		}
		if e, err := parseError(stdout); err == nil && (e.Code == nil || e.raw == nil) {
			t.Errorf("%q is an error object without a code", stdout)
		}
		complaint(&Call{Stdout: stdout})
	})
}
