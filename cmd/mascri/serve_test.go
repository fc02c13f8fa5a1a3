package main

import (
	"bufio"
	"context"
	"io"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A daemon that is asked to reload goes on, and says why it does nothing more.
func TestServeOutlivesAHangup(t *testing.T) {
	dir := t.TempDir()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	log, out := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := serve(ctx, []string{
			"--network", networkDryRun, "--run-dir", dir, "--listen", "unix://" + filepath.Join(dir, "cri", "socket"),
		}, out)
		ended <- err
		_ = out.Close() // returns no error
	}()
	said := ""
	for lines := bufio.NewScanner(log); lines.Scan(); {
		said += lines.Text() + "\n"
		switch {
		case strings.Contains(lines.Text(), "msg=serving"):
			if err := syscall.Kill(syscall.Getpid(), syscall.SIGHUP); err != nil {
				t.Fatal(err)
			}
		case strings.Contains(lines.Text(), "nothing to reload"):
			stop()
		}
	}
	if err := <-ended; err != nil || !strings.Contains(said, "SIGHUP") || !strings.Contains(said, "msg=stopped") {
		t.Errorf("the daemon ended with %v and said\n%s", err, said)
	}
}
