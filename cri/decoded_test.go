package cri

import (
	"errors"
	"testing"
)

func TestDecodedReadsOnce(t *testing.T) {
	var d decoded[string]
	reads := 0
	get := func(id, text string) string {
		said, err := d.get(id, text, func() (string, error) { reads++; return "says " + text, nil })
		if err != nil {
			t.Fatal(err)
		}
		return said
	}
	for _, text := range []string{"x", "x", "y"} {
		if said := get("a", text); said != "says "+text {
			t.Errorf("%q said %q", text, said)
		}
	}
	if reads != 2 {
		t.Errorf("%d texts read, want 2", reads)
	}
	get("b", "z")
	d.keep([]string{"b"})
	if _, ok := d.of["a"]; ok || len(d.of) != 1 {
		t.Errorf("after a was gone: %v", d.of)
	}
	if _, err := d.get("c", "", func() (string, error) { return "", errors.New("unreadable") }); err == nil || len(d.of) != 1 {
		t.Errorf("what cannot be read is remembered: %v, %v", d.of, err)
	}
}
