package spec

import (
	"errors"
	"testing"
)

// TestDifferences: a CHECK that could not read is no CHECK that found damage.
func TestDifferences(t *testing.T) {
	unread, damage := Errorf(TryAgain, "busy"), errors.New("lo is down")
	if err := Differences(nil, nil); err != nil {
		t.Errorf("no difference is %v", err)
	}
	for _, test := range []struct {
		found []error
		code  Code
	}{
		{[]error{nil, unread}, TryAgain},
		{[]error{unread, nil, damage}, CheckFailed},
		{[]error{damage}, CheckFailed},
	} {
		if code := CodeOf(Differences(test.found...)); code != test.code {
			t.Errorf("%v has code %d, expected %d", test.found, code, test.code)
		}
	}
	if CodeOr(damage, Kernel) != Kernel || CodeOr(unread, Kernel) != TryAgain {
		t.Error("CodeOr prefers the wrong code")
	}
}
