//go:build e2e && linux

package docker

import (
	"reflect"
	"testing"
)

// A user is looked up as the engine would, in the image's own files; also where
// one is a symbolic link, as busyboxRoot's /etc/group, or missing.
func TestE2ELookupUser(t *testing.T) {
	e := connect(t)
	busybox, err := e.InspectImage(t.Context(), importBusybox(t, e))
	if err != nil {
		t.Fatal(err)
	}
	empty, err := e.EnsurePause(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	bare, err := e.InspectImage(t.Context(), empty)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		image, user string
		want        Account
	}{
		{busybox.ID, "1000", Account{GID: 1000, Groups: []int{50000}}},
		{busybox.ID, "user", Account{GID: 1000, Groups: []int{50000}}},
		{busybox.ID, "7", Account{Groups: []int{}}},
		{bare.ID, "7", Account{Groups: []int{}}},
	} {
		got, err := e.LookupUser(t.Context(), test.image, test.user)
		if len(got.Groups) == 0 {
			got.Groups = []int{}
		}
		if err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("user %s of %s: %+v, error %v", test.user, test.image, got, err)
		}
	}
	_, err = e.LookupUser(t.Context(), busybox.ID, "nobody")
	wantError(t, "an unknown name", err, ErrInvalid)
	_, err = e.LookupUser(t.Context(), "sha256:"+digestOfNothing, "7")
	wantError(t, "an image that is not there", err, ErrNotFound)
	_, err = e.Inspect(t.Context(), accountsName)
	wantError(t, "the container that was read from", err, ErrNotFound)
}

// digestOfNothing is the SHA-256 of the empty string: no image's.
const digestOfNothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
