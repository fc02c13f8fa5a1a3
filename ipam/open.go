package ipam

import (
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mascri/mascri/spec"
)

// openStore waits for the network's lock (code 11 when somebody keeps it) and
// removes leases of former boots. The store is nil where the network has none.
func openStore(ctx context.Context, dataDir, network string) (*store, error) {
	return open(ctx, dataDir, network, (*store).load)
}

// viewStore opens the store for a command that only looks: it makes no
// directory, and no index. Where the network has none, it is an empty one.
func viewStore(ctx context.Context, dataDir, network string) (*store, error) {
	s, err := open(ctx, dataDir, network, (*store).view)
	if s == nil && err == nil {
		nobody := func(string) ([]netip.Addr, error) { return nil, nil }
		s = &store{dir: filepath.Join(dataDir, network), known: holdings{nobody, newUsedSet(nothingUsed)}}
	}
	return s, err
}

func open(ctx context.Context, dataDir, network string, load func(*store) error) (*store, error) {
	s := &store{dir: filepath.Join(dataDir, network)}
	lock, err := acquire(ctx, filepath.Join(s.dir, "lock"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, storeError("lock network "+network, err)
	}
	s.lock = lock
	s.index = index{dir: filepath.Join(dataDir, privateDir, network), leases: s.dir, boot: currentBoot(s.dir)}
	if err := load(s); err != nil {
		return nil, errors.Join(storeError("read the leases of network "+network, err), s.Close())
	}
	return s, nil
}

// Close lets go of the lock.
func (s *store) Close() error {
	if s.lock == nil {
		return nil
	}
	return s.lock.Close()
}

func (s *store) load() error {
	if known, err := s.indexed(); known || err != nil {
		return err
	}
	return s.reload()
}

func (s *store) view() error {
	if known, err := s.indexed(); known || err != nil {
		return err
	}
	_, err := s.read()
	return err
}

// indexed uses the index where it may be believed, and reclaims the leases of
// former boots where it may not.
func (s *store) indexed() (bool, error) {
	if !s.index.bootKnown() {
		return false, s.index.reclaim()
	}
	if !s.index.sealed() {
		return false, nil
	}
	s.known = holdings{s.index.ownedBy, newUsedSet(s.chunk)}
	return true, nil
}

// chunk is the index's, or the leases' own where that cannot be read.
func (s *store) chunk(base netip.Addr) (*chunk, error) {
	if c, err := s.index.chunk(base); err == nil {
		return c, nil
	}
	if err := s.reload(); err != nil {
		return nil, err
	}
	return s.known.used.at(base)
}

// makeTries bounds how often the directory is made again because another
// process removed it in between (unmake).
const makeTries = 10

// makeStore makes the directory of a network and opens the store. Others may
// read: host-local's mode, and tools list the leases.
func makeStore(ctx context.Context, dataDir, network string) (*store, error) {
	dir := filepath.Join(dataDir, network)
	for try := 1; ; try++ {
		made, err := makeDirs(dir)
		if errors.Is(err, fs.ErrNotExist) && try < makeTries {
			continue
		}
		if err != nil {
			return nil, errors.Join(storeError("make the lease directory", err), removeDirs(made))
		}
		s, err := openStore(ctx, dataDir, network)
		if err != nil {
			return nil, errors.Join(err, removeDirs(made))
		}
		if s != nil {
			s.made = made
			return s, nil
		}
		if try == makeTries {
			return nil, spec.Errorf(spec.TryAgain, "lock network %s: %s is removed by others as often as it is made; try again", network, dir)
		}
	}
}

// unmake removes what makeStore made, after a lease that the disk did not take:
// the lock that we hold, while others may be waiting for it, included. Ours
// then look whether the file is still there (acquire), and make the directory
// again; host-local's next file finds no directory, and its ADD fails as ours
// did. A directory with anybody's lease stays.
func (s *store) unmake() error {
	if len(s.made) == 0 {
		return nil
	}
	names, err := namesIn(s.dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if name != "lock" && !strings.HasPrefix(name, "last_reserved_ip.") {
			return nil
		}
	}
	errs := []error{removeTree(s.index.dir)}
	for _, name := range names {
		errs = append(errs, removeFile(filepath.Join(s.dir, name)))
	}
	above := s.made[:len(s.made)-1]
	dirs := slices.Concat(above, []string{filepath.Dir(s.index.dir), s.dir})
	return errors.Join(append(errs, removeDirs(dirs))...)
}
