package machine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/mascri/mascri/cri/docker"
)

const (
	// engineStart is how long a Docker engine may take to answer; on its first
	// start it lays out its data directory.
	engineStart = time.Minute
	// engineStop is how long it may take to end; it stops containers first.
	engineStop = 30 * time.Second
)

// An Engine is a Docker engine that answers.
type Engine struct {
	stop func(context.Context) error
	log  io.Writer
}

// StartEngine makes sure that a Docker engine answers. One that runs is used as
// it is; otherwise Docker is installed where it is missing and started: by
// systemd where that runs the machine, else as a child of this process.
func StartEngine(ctx context.Context, log io.Writer) (*Engine, error) {
	err := answers(ctx)
	if err == nil {
		return &Engine{log: log}, nil
	}
	if host := os.Getenv("DOCKER_HOST"); host != "" {
		return nil, fmt.Errorf("%w: it is the engine that DOCKER_HOST names; start it, or unset DOCKER_HOST", err)
	}
	if !errors.Is(err, docker.ErrUnavailable) {
		return nil, err
	}
	if err := Provide(ctx, log, engineNeeds()...); err != nil {
		return nil, err
	}
	if hasSystemd() {
		return startWithSystemd(ctx, log)
	}
	return startChild(ctx, log)
}

// Stop ends the engine if StartEngine started it, and waits until it is gone.
func (e *Engine) Stop(ctx context.Context) error {
	if e.stop == nil {
		return nil
	}
	say(e.log, "stopping the Docker engine")
	ctx, cancel := context.WithTimeout(ctx, engineStop)
	defer cancel()
	if err := e.stop(ctx); err != nil {
		return fmt.Errorf("stop the Docker engine: %w", err)
	}
	return nil
}

// engineNeeds is EngineNeeds, and on a kernel with AppArmor its loader as well,
// without which the engine refuses to start any container.
func engineNeeds() []Need {
	enabled, err := os.ReadFile("/sys/module/apparmor/parameters/enabled")
	if err == nil && strings.TrimSpace(string(enabled)) == "Y" {
		return append([]Need{{"apparmor_parser", "apparmor"}}, EngineNeeds...)
	}
	return EngineNeeds
}

// answers asks the engine for its version.
func answers(ctx context.Context) error {
	engine, err := docker.Connect(ctx, "")
	if err != nil {
		return err
	}
	return engine.Close()
}

func startWithSystemd(ctx context.Context, log io.Writer) (*Engine, error) {
	say(log, "starting the Docker engine: systemctl start docker")
	if out, err := exec.CommandContext(ctx, "systemctl", "start", "docker").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("systemctl start docker: %w: %s", err, out)
	}
	stop := func(ctx context.Context) error {
		// The socket unit would start the service again on the next connection.
		return exec.CommandContext(ctx, "systemctl", "stop", "docker.socket", "docker").Run()
	}
	engine := &Engine{stop: stop, log: log}
	if err := waitForEngine(ctx, nil); err != nil {
		return nil, errors.Join(err, engine.Stop(context.WithoutCancel(ctx)))
	}
	return engine, nil
}

// startChild runs dockerd as a child. It gets a session of its own: Ctrl-C goes
// to the whole foreground group, and the engine must outlive the cleaning up
// that Ctrl-C sets off.
func startChild(ctx context.Context, log io.Writer) (*Engine, error) {
	unmount, err := mountCgroups(ctx)
	if err != nil {
		return nil, err
	}
	output, err := os.CreateTemp("", "mascri-dockerd-*.log")
	if err != nil {
		return nil, errors.Join(err, unmount(ctx))
	}
	defer output.Close() // the child has its own copy
	say(log, "starting the Docker engine: dockerd (its output: %s)", output.Name())
	dockerd := exec.Command("dockerd")
	dockerd.Stdout, dockerd.Stderr = output, output
	dockerd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := dockerd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start dockerd: %w", err), unmount(ctx))
	}
	ended := make(chan error, 1)
	go func() { ended <- dockerd.Wait() }()
	engine := &Engine{log: log, stop: func(ctx context.Context) error {
		return errors.Join(endChild(ctx, dockerd.Process, ended), unmount(ctx), os.Remove(output.Name()))
	}}
	if err := waitForEngine(ctx, ended); err != nil {
		err = fmt.Errorf("%w; dockerd said: %s", err, lastLines(output.Name()))
		return nil, errors.Join(err, engine.Stop(context.WithoutCancel(ctx)))
	}
	return engine, nil
}

// endChild asks a child to end and kills it if it does not.
func endChild(ctx context.Context, child *os.Process, ended chan error) error {
	if err := child.Signal(syscall.SIGTERM); errors.Is(err, os.ErrProcessDone) {
		return nil
	} else if err != nil {
		return err
	}
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return errors.Join(fmt.Errorf("it did not end on SIGTERM: %w", context.Cause(ctx)), child.Kill())
	}
}

// waitForEngine waits until the engine answers, or ended tells that it died.
func waitForEngine(ctx context.Context, ended chan error) error {
	ctx, cancel := context.WithTimeout(ctx, engineStart)
	defer cancel()
	for {
		err := answers(ctx)
		if err == nil {
			return nil
		}
		select {
		case died := <-ended:
			ended <- died // for endChild
			return fmt.Errorf("the Docker engine ended at once (%v)", died)
		case <-ctx.Done():
			return fmt.Errorf("the Docker engine did not answer within %s: %w", engineStart, err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// mountCgroups mounts the cgroup file system where nobody has, as an init
// system would, and returns what unmounts it again.
func mountCgroups(ctx context.Context) (unmount func(context.Context) error, err error) {
	const at = "/sys/fs/cgroup"
	unmount = func(context.Context) error { return nil }
	entries, err := os.ReadDir(at)
	if err != nil || len(entries) > 0 {
		return unmount, err
	}
	if out, err := exec.CommandContext(ctx, "mount", "-t", "cgroup2", "cgroup2", at).CombinedOutput(); err != nil {
		return unmount, fmt.Errorf("mount -t cgroup2 cgroup2 %s: %w: %s", at, err, out)
	}
	return func(ctx context.Context) error { return exec.CommandContext(ctx, "umount", at).Run() }, nil
}

// lastLines returns the end of a log file, where the reason is.
func lastLines(path string) string {
	content, err := os.ReadFile(filepath.Clean(path))
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(content)), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], "\n")
}

// say writes one line of progress.
func say(log io.Writer, format string, args ...any) {
	// Progress is for the eye; a closed terminal is no reason to stop half-way.
	_, _ = fmt.Fprintf(log, format+"\n", args...)
}
