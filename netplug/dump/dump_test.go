package dump

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/mascri/mascri/spec"
)

func TestWhole(t *testing.T) {
	refused := errors.New("refused")
	for _, test := range []struct {
		name        string
		interrupted int   // readings before the last
		last        error // of the one after them
		readings    int
		code        spec.Code // 0 for success
	}{
		{"at once", 0, nil, 1, 0},
		{"interrupted", 3, nil, 4, 0},
		{"interrupted until the last", attempts - 1, nil, attempts, 0},
		{"always", attempts, nil, attempts, spec.TryAgain},
		{"another error", 2, refused, 3, spec.Internal},
	} {
		synctest.Test(t, func(t *testing.T) { // in which pauses take no time
			readings := 0
			all, err := Whole(func() ([]int, error) {
				if readings++; readings <= test.interrupted {
					return []int{1}, fmt.Errorf("a part: %w", syscall.EINTR)
				}
				return []int{1, 2}, test.last
			})
			if readings != test.readings {
				t.Errorf("%s: read %d times, expected %d", test.name, readings, test.readings)
			}
			if test.code == 0 && (err != nil || len(all) != 2) {
				t.Errorf("%s: read %v, %v", test.name, all, err)
			}
			if test.code != 0 && (err == nil || all != nil || spec.CodeOf(err) != test.code) {
				t.Errorf("%s: read %v, %v with code %d, expected %d", test.name, all, err, spec.CodeOf(err), test.code)
			}
		})
	}
}
