package spec

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func mustCIDR(t *testing.T, s string) net.IPNet {
	t.Helper()
	ip, n, err := net.ParseCIDR(s)
	if err != nil {
		t.Fatal(err)
	}
	return net.IPNet{IP: ip, Mask: n.Mask}
}

// delegate writes a shell script as a plugin and a request that can reach it.
func delegate(t *testing.T, script string) (*Request, string) {
	t.Helper()
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	text := "#!/bin/sh\necho $CNI_COMMAND >>" + log + "\n" + script
	if err := os.WriteFile(filepath.Join(dir, "child"), []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	env := append(os.Environ(), "CNI_COMMAND=ADD", "CNI_CONTAINERID=c1")
	return &Request{Command: "ADD", Name: "net", Version: "1.0.0", Path: []string{dir}, Config: []byte(`{"cniVersion":"1.0.0","name":"net"}`), env: env}, log
}

func TestDelegateAdd(t *testing.T) {
	r, _ := delegate(t, `grep -q '"name":"net"' && [ "$CNI_CONTAINERID" = c1 ] && echo '{"cniVersion":"1.0.0","ips":[{"address":"10.1.2.3/24"}]}'`)
	result, err := r.Delegate(context.Background(), "ADD", "child")
	if err != nil || len(result.IPs) != 1 || result.IPs[0].Address.String() != "10.1.2.3/24" {
		t.Fatalf("%+v, %v", result, err)
	}
}

func TestDelegatedResultWithANull(t *testing.T) {
	r, _ := delegate(t, `echo '{"cniVersion":"1.0.0","ips":[null]}'`)
	if _, err := r.Delegate(context.Background(), "ADD", "child"); CodeOf(err) != Decode || !strings.Contains(err.Error(), "ips[0] is null") {
		t.Errorf("%v, expected what is null", err)
	}
}

func TestDelegateFailureIsFollowedByDel(t *testing.T) {
	r, log := delegate(t, `[ $CNI_COMMAND = DEL ] || { echo '{"code":11,"msg":"busy"}'; exit 1; }`)
	_, err := r.Delegate(context.Background(), "ADD", "child")
	if err == nil || CodeOf(err) != TryAgain || !strings.Contains(err.Error(), "busy") {
		t.Errorf("%v: the delegate's own error was expected", err)
	}
	if commands, err := os.ReadFile(log); err != nil || string(commands) != "ADD\nDEL\n" {
		t.Errorf("commands %q, %v", commands, err)
	}
}

func TestDelegateDuplicateKeepsTheLease(t *testing.T) {
	r, log := delegate(t, `echo '{"code":4,"msg":"10.1.2.3 has been allocated to c1, duplicate allocation is not allowed"}'; exit 1`)
	if _, err := r.Delegate(context.Background(), "ADD", "child"); err == nil {
		t.Error("the delegate's error is lost")
	}
	if commands, err := os.ReadFile(log); err != nil || string(commands) != "ADD\n" {
		t.Errorf("commands %q, %v: a DEL would release a live address", commands, err)
	}
}

func TestDelegateErrorsNameTheCulprit(t *testing.T) {
	r, _ := delegate(t, `echo nonsense; exit 3`)
	for plugin, culprit := range map[string]string{"child": "nonsense", "absent": "absent", "../child": "../child"} {
		if _, err := r.Delegate(context.Background(), "STATUS", plugin); err == nil || !strings.Contains(err.Error(), culprit) {
			t.Errorf("delegate to %q: %v, expected an error naming %q", plugin, err, culprit)
		}
	}
	r.Path = nil
	if _, err := r.Delegate(context.Background(), "GC", "child"); CodeOf(err) != InvalidEnv || !strings.Contains(err.Error(), "CNI_PATH") {
		t.Errorf("without CNI_PATH: %v", err)
	}
}

// TestDelegateWithAGrandchild: what a plugin leaves running cannot keep us.
func TestDelegateWithAGrandchild(t *testing.T) {
	r, _ := delegate(t, `sleep 60 & exit 0`)
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, err := r.Delegate(ctx, "STATUS", "child"); CodeOf(err) != TryAgain {
		t.Errorf("a delegate that never closes its output: %v", err)
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestDelegateIsStopped(t *testing.T) {
	r, _ := delegate(t, `exec sleep 60`)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := r.Delegate(ctx, "STATUS", "child"); CodeOf(err) != TryAgain {
		t.Errorf("a cancelled delegate: %v", err)
	}
}
