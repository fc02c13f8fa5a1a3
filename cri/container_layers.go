package cri

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mascri/mascri/cri/docker"
)

// layerAge is how old the size of a writable layer may be. To measure one is to
// walk its files, which the kernel's accounting does not spare us.
const layerAge = time.Minute

// layerSize is the room that a container's own files take.
type layerSize struct {
	dir           string // that holds them
	bytes, inodes uint64
	at            time.Time
}

// layerSizes remembers sizes by container. A size that is too old is answered
// once more while it is measured anew.
type layerSizes struct {
	mu        sync.Mutex
	known     map[string]layerSize
	measuring map[string]bool
}

// of is the size of a container's writable layer; ok is false where no directory
// for it is known.
func (l *layerSizes) of(c docker.Container) (size layerSize, ok bool, err error) {
	id := c.ID
	l.mu.Lock()
	size, ok = l.known[id]
	old := ok && time.Since(size.at) > layerAge && !l.measuring[id]
	if old {
		l.set(id, true)
	}
	l.mu.Unlock()
	if !ok {
		dir := layerDirectory(c)
		if dir == "" {
			return layerSize{}, false, nil
		}
		size, err = l.measure(id, dir)
		return size, err == nil, err
	}
	if old {
		go func() {
			// Should it fail, the size stays old and the next call tries again.
			_, _ = l.measure(id, size.dir)
			l.mu.Lock()
			defer l.mu.Unlock()
			l.set(id, false)
		}()
	}
	return size, true, nil
}

func (l *layerSizes) set(id string, measuring bool) {
	if l.measuring == nil {
		l.measuring = map[string]bool{}
	}
	if measuring {
		l.measuring[id] = true
		return
	}
	delete(l.measuring, id)
}

func (l *layerSizes) measure(id, dir string) (layerSize, error) {
	size := layerSize{dir: dir, at: time.Now()}
	err := filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed meanwhile
		}
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		size.inodes++
		if stat, ok := info.Sys().(*syscall.Stat_t); ok {
			size.bytes += uint64(stat.Blocks) * 512 // stat(2): blocks are of 512 bytes
		}
		return nil
	})
	if err != nil {
		return layerSize{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known == nil {
		l.known = map[string]layerSize{}
	}
	l.known[id] = size
	return size, nil
}

// keep forgets containers that are gone.
func (l *layerSizes) keep(ids map[string]bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id := range l.known {
		if !ids[id] {
			delete(l.known, id)
		}
	}
}

// usage is the size as the CRI has it.
func (s layerSize) usage() *runtimeapi.FilesystemUsage {
	return &runtimeapi.FilesystemUsage{
		Timestamp:  s.at.UnixNano(),
		FsId:       &runtimeapi.FilesystemIdentifier{Mountpoint: s.dir},
		UsedBytes:  &runtimeapi.UInt64Value{Value: s.bytes},
		InodesUsed: &runtimeapi.UInt64Value{Value: s.inodes},
	}
}

// writableLayers adds up all containers' own files.
func (c *containers) writableLayers(ctx context.Context) (bytes, inodes uint64, err error) {
	if c.config.RemoteEngine {
		return 0, 0, nil
	}
	all, err := c.engine.List(ctx, map[string]string{labelKind: ""})
	if err != nil {
		return 0, 0, err
	}
	keep := map[string]bool{}
	for _, one := range all {
		keep[one.ID] = true
		container, err := c.engine.Inspect(ctx, one.ID)
		if ignoreNotFound(err) != nil {
			return 0, 0, err
		}
		size, _, err := c.layers.of(container)
		if err != nil {
			return 0, 0, err
		}
		bytes, inodes = bytes+size.bytes, inodes+size.inodes
	}
	c.layers.keep(keep)
	return bytes, inodes, nil
}
