package conformance

import (
	"encoding/json"
	"testing"
)

func TestNamesField(t *testing.T) {
	const config = `{"cniVersion":"1.1.0","name":"lab","vlan":100,"macspoofchk":true,"mode":"fast",
		"vlanTrunk":[{"minID":5,"maxID":7},{"id":9}],"ipam":{"type":"pool","shuffle":"yes"}}`
	var decoded any
	if err := json.Unmarshal([]byte(config), &decoded); err != nil {
		t.Fatal(err)
	}
	for message, want := range map[string]bool{
		"vlan 100: no filtering":             true,
		`"macspoofchk": true is unsupported`: true,
		"vlanTrunk 5-7,9 is too much":        true,
		"ipam.shuffle=yes is not there":      true,
		`mode: cannot be "fast"`:             true,
		"vlan is unsupported":                false,
		"100 is unsupported":                 false,
		"vlanTrunk 5-7 is too much":          false,
		"shuffle cannot be had":              false,
		"something is unsupported":           false,
		"":                                   false,
	} {
		if got := namesField(message, decoded); got != want {
			t.Errorf("%q names a field: %t, expected %t", message, got, want)
		}
	}
}
