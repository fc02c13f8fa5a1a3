package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/mascri/mascri/cri"
)

func TestNotify(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	if err := notify("READY=1"); err != nil {
		t.Errorf("without a service manager: %v", err)
	}
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "none"))
	if err := notify("READY=1"); err == nil {
		t.Error("a service manager that does not listen goes unnoticed")
	}
	manager := listenAsManager(t)
	if err := notify("READY=1"); err != nil || manager.next() != "READY=1" {
		t.Errorf("notify: %v", err)
	}
}

// The manager hears of the end before the process can be gone.
func TestAnnounceEnd(t *testing.T) {
	manager := listenAsManager(t)
	for range 100 {
		ctx, cancel := context.WithCancel(t.Context())
		finish := announceEnd(ctx, slog.New(slog.DiscardHandler))
		cancel()
		finish()
		if said := manager.next(); !strings.HasPrefix(said, "STOPPING=1") {
			t.Fatalf("the manager heard %q", said)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	announceEnd(ctx, slog.New(slog.DiscardHandler))()
	if said := manager.next(); said != "" {
		t.Errorf("the manager heard %q of a daemon whose context has not ended", said)
	}
}

// A manager is the service manager's end.
type manager struct {
	*net.UnixConn
	t *testing.T
}

func listenAsManager(t *testing.T) manager {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Setenv("NOTIFY_SOCKET", path)
	return manager{conn, t}
}

// next is the next message; "" where none comes for a while.
func (m manager) next() string {
	m.t.Helper()
	if err := m.SetReadDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
		m.t.Fatal(err)
	}
	text := make([]byte, 256)
	n, err := m.Read(text)
	if err != nil {
		return ""
	}
	return string(text[:n])
}

// The watchdog hears of a daemon that answers, and nothing of one that does not.
func TestReportAlive(t *testing.T) {
	manager := listenAsManager(t)
	for _, failure := range []error{nil, errors.New("hangs")} {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			reportAlive(ctx, 10*time.Millisecond, func(context.Context) error { return failure }, slog.New(slog.DiscardHandler))
		}()
		for range 3 {
			if got := manager.next(); (got == "WATCHDOG=1") != (failure == nil) {
				t.Errorf("alive is %v, the watchdog hears %q", failure, got)
			}
		}
		cancel()
		<-done
		for manager.next() != "" { // what was sent meanwhile
		}
	}
}

// The unit's bounds leave the daemon the time that it gives itself.
func TestUnitLeavesTime(t *testing.T) {
	unit, err := os.ReadFile("machine/mascri.service")
	if err != nil {
		t.Fatal(err)
	}
	for key, least := range map[string]time.Duration{
		"TimeoutStartSec": recoverTimeout + 30*time.Second,
		"TimeoutStopSec":  cri.DefaultShutdownGrace + 15*time.Second,
		"WatchdogSec":     time.Minute,
	} {
		m := regexp.MustCompile(`(?m)^` + key + `=(\d+)(s|min)$`).FindSubmatch(unit)
		if m == nil {
			t.Errorf("the unit has no %s in s or min", key)
			continue
		}
		got, err := time.ParseDuration(strings.TrimSuffix(string(m[1])+string(m[2]), "in"))
		if err != nil || got < least {
			t.Errorf("%s is %v, %v, want at least %v", key, got, err, least)
		}
	}
}

func TestWatchdogInterval(t *testing.T) {
	for name, c := range map[string]struct {
		microseconds, pid string
		want              time.Duration
	}{
		"asked for":           {"4000000", "7", 2 * time.Second},
		"of nobody by number": {"4000000", "", 2 * time.Second},
		"of another process":  {"4000000", "8", 0},
		"not asked for":       {"", "", 0},
		"nonsense":            {"soon", "7", 0},
	} {
		environment := map[string]string{"WATCHDOG_USEC": c.microseconds, "WATCHDOG_PID": c.pid}
		getenv := func(name string) string { return environment[name] }
		if got := watchdogInterval(getenv, 7); got != c.want {
			t.Errorf("%s: every %v, want %v", name, got, c.want)
		}
	}
}
