package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"time"
)

// notifyTimeout bounds the wait for a service manager that does not listen.
const notifyTimeout = 5 * time.Second

// notify tells the service manager how the daemon fares ("READY=1"), where one
// asks: see sd_notify(3).
func notify(state string) error {
	address := os.Getenv("NOTIFY_SOCKET")
	if address == "" {
		return nil
	}
	if err := send(address, state); err != nil {
		return fmt.Errorf("tell the service manager %s: %w", state, err)
	}
	return nil
}

func send(address, state string) error {
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		return err
	}
	err = conn.SetWriteDeadline(time.Now().Add(notifyTimeout)) // a full queue makes it wait
	if err == nil {
		_, err = conn.Write([]byte(state))
	}
	return errors.Join(err, conn.Close())
}

// watchdogInterval is how often the service manager wants to hear that the
// daemon is alive, halved to be in time; 0 is never. See
// sd_watchdog_enabled(3).
func watchdogInterval(getenv func(string) string, pid int) time.Duration {
	if of := getenv("WATCHDOG_PID"); of != "" && of != strconv.Itoa(pid) {
		return 0 // meant for the process that started us
	}
	microseconds, err := strconv.ParseInt(getenv("WATCHDOG_USEC"), 10, 64)
	if err != nil || microseconds <= 0 {
		return 0
	}
	return time.Duration(microseconds) * time.Microsecond / 2
}

// reportAlive tells the service manager that the daemon is alive for as long as
// that is so, until ctx ends. One that hangs is killed, with a dump of what each
// goroutine waits for, and started again.
func reportAlive(ctx context.Context, interval time.Duration, alive func(context.Context) error, log *slog.Logger) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		asking, cancel := context.WithTimeout(ctx, interval)
		err := alive(asking)
		cancel()
		if err == nil {
			err = notify("WATCHDOG=1")
		}
		if err != nil && ctx.Err() == nil {
			log.Warn("the service manager's watchdog was not told that the daemon is alive", "error", err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}
