package netns

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestDoRefusesWhatIsNoNamespace(t *testing.T) {
	called := false
	f := func() error { called = true; return nil }

	if err := Do(filepath.Join(t.TempDir(), "gone"), f); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Do(missing path) = %v, want fs.ErrNotExist", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Do(file, f); err == nil {
		t.Error("Do(regular file) succeeded, want setns's error")
	}
	if called {
		t.Error("f ran outside the namespace it was meant for")
	}
}
