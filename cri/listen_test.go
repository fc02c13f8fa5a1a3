package cri

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// listenOn ends the test if path cannot be listened on.
func listenOn(t *testing.T, path string) *net.UnixListener {
	t.Helper()
	listener, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
	return listener.(*net.UnixListener)
}

func TestListen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "s")
	listener := listenOn(t, path)
	for name, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		info, err := os.Stat(name)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, want mode %v: %v", name, info.Mode(), want, err)
		}
	}
	if _, err := Listen(path); err == nil || !strings.Contains(err.Error(), "another server") {
		t.Errorf("a second server on the socket: %v", err)
	}
	// As a process that was killed leaves it.
	listener.SetUnlinkOnClose(false)
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	listenOn(t, path)
}

// Whoever may change the directory may put a socket of his own there.
func TestListenRefusesAnOpenDirectory(t *testing.T) {
	for mode, allowed := range map[os.FileMode]bool{0o755: true, 0o777 | os.ModeSticky: true, 0o777: false, 0o770: false} {
		dir := t.TempDir()
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		listener, err := Listen(filepath.Join(dir, "s"))
		switch {
		case allowed && err != nil:
			t.Errorf("directory of mode %v: %v", mode, err)
		case allowed:
			if err := listener.Close(); err != nil {
				t.Error(err)
			}
		case err == nil || !strings.Contains(err.Error(), "chmod go-w "+dir):
			t.Errorf("directory of mode %v: %v, want what to do about it", mode, err)
		}
	}
}

func TestListenLeavesFilesAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notes")
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(path); err == nil || !strings.Contains(err.Error(), "no socket") {
		t.Errorf("on a file: %v", err)
	}
	if text, err := os.ReadFile(path); string(text) != "mine" {
		t.Errorf("the file holds %q, %v", text, err)
	}
}

// A daemon that is told to stop while it still clears up has not failed.
func TestServeAfterTheEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	server := New(Config{}, nil, nil)
	if err := server.Serve(ctx, listenOn(t, filepath.Join(t.TempDir(), "s"))); err != nil {
		t.Error(err)
	}
}
