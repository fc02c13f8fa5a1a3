package spec

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// callerVariable makes the test binary a plugin that delegates to the child in
// the directory that is its value.
const callerVariable = "SPEC_TEST_CALLER"

// TestDelegateDiesWithItsCaller: kill -9 of a plugin is kill -9 of what it
// delegated to.
func TestDelegateDiesWithItsCaller(t *testing.T) {
	if dir := os.Getenv(callerVariable); dir != "" {
		r := &Request{Command: "ADD", Name: "net", Path: []string{dir}, env: os.Environ()}
		_, err := r.Delegate(context.Background(), "ADD", "child")
		t.Fatalf("the child ended first: %v", err)
	}
	r, log := delegate(t, `echo $$ >"$0.pid"; exec sleep 60`)
	caller := exec.Command(os.Args[0], "-test.run", "^TestDelegateDiesWithItsCaller$")
	caller.Env = append(os.Environ(), callerVariable+"="+r.Path[0])
	if err := caller.Start(); err != nil {
		t.Fatal(err)
	}
	pidFile := filepath.Join(filepath.Dir(log), "child.pid")
	var pid string
	eventually(t, "the child starts", func() bool {
		text, err := os.ReadFile(pidFile)
		pid = strings.TrimSpace(string(text))
		return err == nil && pid != ""
	})
	if err := caller.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := caller.Wait(); err == nil {
		t.Error("the caller was not killed")
	}
	eventually(t, "the child dies", func() bool {
		status, err := os.ReadFile("/proc/" + pid + "/status")
		return err != nil || bytes.Contains(status, []byte("State:\tZ")) // nobody may reap it here
	})
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if is() {
			return
		}
	}
	t.Fatalf("not within 20 s: %s", what)
}
