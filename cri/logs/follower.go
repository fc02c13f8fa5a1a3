package logs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// watchedPoll is a net under the notifications: the kernel drops them when
	// its queue is full.
	watchedPoll = 30 * time.Second
	// unwatchedPoll is for files that do not exist yet or cannot be watched.
	unwatchedPoll = 250 * time.Millisecond
	// gather is how long a container's log rests after a conversion, so that one
	// that writes line by line does not wake the daemon for each.
	gather = 5 * time.Millisecond
)

// ErrUnknown is the error for a container that is not followed.
var ErrUnknown = errors.New("the container's log is not followed")

// DockerOptions are the log driver and its options that containers must be
// created with. They name what daemon.json may have set otherwise: a driver
// without a file, a rotation that removes unread lines, a mode that drops lines.
func DockerOptions() (driver string, options map[string]string) {
	return "json-file", map[string]string{
		"max-size": "1000p", // Docker takes no "unlimited"
		"max-file": "1",
		"compress": "false",
		"mode":     "blocking",
	}
}

// Container is a container whose log is converted.
type Container struct {
	ID string
	// Source is Docker's file: LogPath in its inspection.
	Source string
	// Path is the CRI log: the sandbox's log_directory joined with the
	// container's log_path.
	Path string
}

func (c Container) validate() error {
	if err := validateID(c.ID); err != nil {
		return err
	}
	if !filepath.IsAbs(c.Source) || !filepath.IsAbs(c.Path) {
		return fmt.Errorf("log of %s: source %q and path %q must be absolute", c.ID, c.Source, c.Path)
	}
	return nil
}

func validateID(id string) error {
	if id == "" || id != filepath.Base(id) || id[0] == '.' {
		return fmt.Errorf("container ID %q cannot name a file", id)
	}
	return nil
}

// Follower converts the logs of many containers as they are written.
type Follower struct {
	state   string
	log     *slog.Logger
	watcher *fsnotify.Watcher
	stop    context.CancelFunc
	ctx     context.Context
	running sync.WaitGroup

	mu      sync.Mutex
	tails   map[string]*followed // by container ID
	sources map[string]*followed // by Docker's file
}

// followed is a tail with the goroutine that pumps it.
type followed struct {
	*tail
	wake chan struct{}
	stop context.CancelFunc
	done chan struct{}
}

// New makes a follower that keeps its positions in the directory state, a file
// a container.
func New(state string, log *slog.Logger) (*Follower, error) {
	if err := os.MkdirAll(state, 0o700); err != nil {
		return nil, fmt.Errorf("keep log positions: %w", err)
	}
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watch container logs: %w", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	f := &Follower{state: state, log: log, watcher: watcher, ctx: ctx, stop: stop,
		tails: make(map[string]*followed), sources: make(map[string]*followed)}
	f.running.Go(f.dispatch)
	return f, nil
}

// Start follows a container's log from where it was left, or from its start. It
// is to be called once Docker has created the container, and for every running
// one when the daemon starts. Starting a followed container does nothing.
func (f *Follower) Start(c Container) error {
	if err := c.validate(); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ctx.Err() != nil {
		return fmt.Errorf("follow log of %s: %w", c.ID, os.ErrClosed)
	}
	if _, ok := f.tails[c.ID]; ok {
		return nil
	}
	t, err := openTail(c, f.statePath(c.ID), f.log)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(f.ctx)
	one := &followed{tail: t, wake: make(chan struct{}, 1), stop: stop, done: make(chan struct{})}
	f.tails[c.ID], f.sources[c.Source] = one, one
	f.running.Go(func() { f.follow(ctx, one) })
	return nil
}

// Reopen goes on in a new file at the container's Path, after the kubelet has
// renamed the old one. Lines written before are all in the old file.
func (f *Follower) Reopen(id string) error {
	f.mu.Lock()
	one, ok := f.tails[id]
	f.mu.Unlock()
	if !ok {
		return fmt.Errorf("reopen log of %s: %w", id, ErrUnknown)
	}
	return one.reopen()
}

// Finish completes the log of a container that has ended, and stops following
// it. Docker has written all of the log when it reports the end, so that after
// Finish the kubelet may be told. It works for a container that is not followed
// too, one that ended while the daemon was away; after the first time it does
// nothing.
func (f *Follower) Finish(ctx context.Context, c Container, ended time.Time) error {
	if err := c.validate(); err != nil {
		return err
	}
	if one := f.take(c.ID); one != nil {
		return errors.Join(one.finish(ctx, ended), one.close())
	}
	if finished, err := f.finished(c.ID); finished || err != nil {
		return err
	}
	t, err := openTail(c, f.statePath(c.ID), f.log)
	if err != nil {
		return err
	}
	return errors.Join(t.finish(ctx, ended), t.close())
}

// Remove forgets a removed container. Its CRI log is the kubelet's to remove.
func (f *Follower) Remove(id string) error {
	if err := validateID(id); err != nil {
		return err
	}
	var err error
	if one := f.take(id); one != nil {
		err = one.close()
	}
	if removed := os.Remove(f.statePath(id)); !errors.Is(removed, fs.ErrNotExist) {
		err = errors.Join(err, removed)
	}
	return err
}

// Keep forgets all containers but those in ids: for the daemon's start, when
// some were removed while it was away.
func (f *Follower) Keep(ids map[string]bool) error {
	entries, err := os.ReadDir(f.state)
	if err != nil {
		return fmt.Errorf("list log positions: %w", err)
	}
	for _, e := range entries {
		if !ids[e.Name()] {
			err = errors.Join(err, f.Remove(e.Name()))
		}
	}
	return err
}

// Close stops following. What was converted is on disk, and the positions too:
// there is nothing to flush.
func (f *Follower) Close() error {
	f.stop()
	err := f.watcher.Close()
	f.running.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	for id, one := range f.tails {
		err = errors.Join(err, one.close())
		delete(f.tails, id)
	}
	return err
}

func (f *Follower) statePath(id string) string { return filepath.Join(f.state, id) }

func (f *Follower) finished(id string) (bool, error) {
	data, err := os.ReadFile(f.statePath(id))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read log position of %s: %w", id, err)
	}
	return newest(data).finished, nil
}

// take stops following a container, nil if it is not followed. Its goroutine
// has ended when take returns.
func (f *Follower) take(id string) *followed {
	f.mu.Lock()
	one, ok := f.tails[id]
	if ok {
		delete(f.tails, id)
		delete(f.sources, one.Source)
	}
	f.mu.Unlock()
	if !ok {
		return nil
	}
	one.stop()
	<-one.done
	// It may not be watched, or Docker's file is gone.
	_ = f.watcher.Remove(one.Source)
	return one
}

// dispatch wakes the container that a notification is about, or all when the
// kernel says that it dropped some.
func (f *Follower) dispatch() {
	for {
		select {
		case event, ok := <-f.watcher.Events:
			if !ok {
				return
			}
			f.mu.Lock()
			if one := f.sources[event.Name]; one != nil {
				one.rouse()
			}
			f.mu.Unlock()
		case err, ok := <-f.watcher.Errors:
			if !ok {
				return
			}
			f.log.Debug("watch container logs", "error", err)
			f.mu.Lock()
			for _, one := range f.tails {
				one.rouse()
			}
			f.mu.Unlock()
		}
	}
}

func (one *followed) rouse() {
	select {
	case one.wake <- struct{}{}:
	default: // It is awake already.
	}
}

// follow pumps one container's log until ctx ends.
func (f *Follower) follow(ctx context.Context, one *followed) {
	defer close(one.done)
	pump, failing := one.resume, ""
	for {
		// Watched before it is read: what comes after the reading wakes us.
		poll := unwatchedPoll
		if f.watcher.Add(one.Source) == nil {
			poll = watchedPoll
		}
		err := pump(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			pump, failing = one.pump, ""
		case err.Error() != failing: // once, not at each attempt
			failing = err.Error()
			one.log.Error("the container's log is not converted for now", "error", err)
		}
		if !pause(ctx, gather, nil) || !pause(ctx, poll, one.wake) {
			return
		}
	}
}

// pause waits for a time, or a wake if that is not nil. It returns false when
// ctx ended.
func pause(ctx context.Context, d time.Duration, wake <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	case <-wake:
	}
	return true
}
