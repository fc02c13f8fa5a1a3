//go:build privileged && linux

package cri

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestListenRefusesAnothersDirectory(t *testing.T) {
	dir := t.TempDir()
	const nobody = 65534
	if err := os.Chown(dir, nobody, nobody); errors.Is(err, unix.EINVAL) {
		t.Skip("a user namespace of one user has nobody to give a directory to")
	} else if err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(filepath.Join(dir, "s")); err == nil || !strings.Contains(err.Error(), "chown 0 "+dir) {
		t.Errorf("in a directory of user %d: %v, want what to do about it", nobody, err)
	}
}
