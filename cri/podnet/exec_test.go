//go:build linux

package podnet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/mascri/mascri/spec"
)

// script writes a program in shell and returns its path.
func script(t *testing.T, body string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "plugin")
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"+body), 0o755); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestExecPlugin(t *testing.T) {
	for name, c := range map[string]struct {
		body   string
		stdout string
		code   uint   // of the error object; 0 is success
		says   string // in the error
	}{
		"answers":                {body: "cat", stdout: "config"},
		"says nothing":           {body: "exit 0"},
		"environment":            {body: `echo "$CNI_COMMAND $MASCRI_TRACE"`, stdout: "ADD 1\n"},
		"an error object":        {body: `echo '{"code": 11, "msg": "busy", "details": "d"}'; exit 1`, code: 11, says: "busy; d"},
		"no error object":        {body: `echo oops >&2; exit 3`, code: 999, says: "oops"},
		"output that is no JSON": {body: `echo oops; exit 1`, code: 6, says: "oops"},
		"an object without msg":  {body: `echo '{}'; exit 7`, code: 999, says: "exit status 7"},
		"dies by a signal":       {body: `kill -SEGV $$`, code: 999, says: "segmentation"},
		"floods its output":      {body: "head -c 5000000 /dev/zero; exit 1", code: 6, says: "no error object"},
		"leaves a process":       {body: "sleep 0.3 & echo ok", stdout: "ok\n"},
	} {
		t.Run(name, func(t *testing.T) {
			e := &executor{timeout: 20 * time.Second, log: slog.New(slog.DiscardHandler)}
			out, err := e.ExecPlugin(t.Context(), script(t, c.body), []byte("config"), []string{"CNI_COMMAND=ADD", "PATH=" + os.Getenv("PATH")})
			var object *types.Error
			switch {
			case c.code == 0 && (err != nil || string(out) != c.stdout):
				t.Errorf("%q, %v, want %q", out, err, c.stdout)
			case c.code != 0 && (!errors.As(err, &object) || object.Code != c.code || !strings.Contains(err.Error(), c.says)):
				t.Errorf("%#v, want code %d saying %q", err, c.code, c.says)
			}
		})
	}
}

// A run ends with its deadline or its caller, and so does what it started.
func TestExecPluginIsEnded(t *testing.T) {
	for name, c := range map[string]struct {
		timeout, patience time.Duration
		want              error
	}{
		"by its deadline": {100 * time.Millisecond, time.Minute, context.DeadlineExceeded},
		"by its caller":   {time.Minute, 100 * time.Millisecond, context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			pidFile := filepath.Join(t.TempDir(), "pid")
			ctx, cancel := context.WithTimeout(t.Context(), c.patience)
			defer cancel()
			e := &executor{timeout: c.timeout, log: slog.New(slog.DiscardHandler)}
			begin := time.Now()
			_, err := e.ExecPlugin(ctx, script(t, fmt.Sprintf("sleep 300 & echo $! > %s; wait", pidFile)), nil, nil)
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), "killed") {
				t.Errorf("%v, want a kill by %v", err, c.want)
			}
			if took := time.Since(begin); took > time.Minute {
				t.Errorf("it took %s", took)
			}
			assertGone(t, pidFile)
		})
	}
}

// assertGone waits until the process that a file names has ended.
func assertGone(t *testing.T, pidFile string) {
	t.Helper()
	text, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Sscan(string(text), &pid); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		// A zombie has ended; whoever adopted it reaps it in its own time.
		if err != nil || bytes.Contains(status, []byte(") Z ")) {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("process %d is still there: %v", pid, syscall.Kill(pid, syscall.SIGKILL))
			return
		}
	}
}

// A plugin that is being installed just then is run once it is there.
func TestExecPluginWaitsForAWriter(t *testing.T) {
	file := script(t, "echo ok")
	writer, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(200*time.Millisecond, func() { _ = writer.Close() }) // nothing was written
	e := &executor{timeout: 20 * time.Second, log: slog.New(slog.DiscardHandler)}
	if out, err := e.ExecPlugin(t.Context(), file, nil, nil); err != nil || string(out) != "ok\n" {
		t.Errorf("%q, %v", out, err)
	}
}

func TestStderrIsTraceAndLog(t *testing.T) {
	var logged bytes.Buffer
	e := &executor{timeout: 20 * time.Second, log: slog.New(slog.NewTextHandler(&logged, nil))}
	var steps []spec.Step
	ctx := spec.WithTrace(t.Context(), func(s spec.Step) { steps = append(steps, s) })
	body := `echo '{"cniStep":{"actor":"netplug","command":"ip link add","ns":5}}' >&2; echo hello >&2`
	if _, err := e.ExecPlugin(ctx, script(t, body), nil, []string{"CNI_COMMAND=ADD"}); err != nil {
		t.Fatal(err)
	}
	if len(steps) != 2 || steps[0].Actor != "netplug" || steps[0].Duration != 5 || !strings.HasPrefix(steps[1].Command, "CNI_COMMAND=ADD ") {
		t.Errorf("steps %+v", steps)
	}
	if !strings.Contains(logged.String(), "line=hello") || strings.Contains(logged.String(), "cniStep") {
		t.Errorf("logged %q", logged.String())
	}
}
