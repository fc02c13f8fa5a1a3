package ipam

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"path/filepath"
	"syscall"

	"github.com/mascri/mascri/spec"
)

// A change of the store always goes: break the seal, change the leases, then
// the index, seal again. Killed in between, it leaves a broken seal, and the
// next command reads the leases as they are.

// reserve writes the leases, all or none.
func (s *store) reserve(ctx context.Context, owner spec.Attachment, chosen []Lease) error {
	if err := s.index.unseal(); err != nil {
		return err
	}
	if err := makeDir(s.index.bootDir(), 0o700); err != nil {
		return err
	}
	key := ownerKey(owner)
	for i, lease := range chosen {
		command := fmt.Sprintf("printf '%s\\r\\n%s' > %s", owner.ContainerID, owner.IfName, filepath.Join(s.dir, lease.Addr.String()))
		err := spec.Do(ctx, "ipam", command, func() error { return s.put(lease, key) })
		if err != nil {
			return errors.Join(err, s.takeBack(chosen[:i+1], key))
		}
	}
	s.indexErr = errors.Join(s.indexErr, s.recordReserved(key, chosen))
	return nil
}

// put makes one lease file and remembers it as the set's latest.
func (s *store) put(lease Lease, key string) error {
	second := s.index.secondName(lease.Addr)
	if err := removeFile(second); err != nil {
		return err
	}
	if err := createFile(second, []byte(key)); err != nil {
		return err
	}
	if err := makeLink(second, filepath.Join(s.dir, lease.Addr.String())); err != nil {
		return err
	}
	err := replaceFile(s.index.temporary(), s.lastReservedFile(lease.Set), []byte(lease.Addr.String()))
	if errors.Is(err, fs.ErrExist) { // a directory in its place, not a lease in the way
		return fmt.Errorf("write %s: %w", s.lastReservedFile(lease.Set), syscall.EISDIR)
	}
	return err
}

// takeBack removes what put made: only files that are still ours by inode, so
// never the lease of somebody else who was in the way.
func (s *store) takeBack(made []Lease, key string) error {
	var errs []error
	for _, lease := range made {
		path, second := filepath.Join(s.dir, lease.Addr.String()), s.index.secondName(lease.Addr)
		if sameFile(path, second) {
			errs = append(errs, removeFile(path))
		}
		errs = append(errs, removeFile(second))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("take back the lease of %q: %w", key, err)
	}
	return nil
}

func (s *store) recordReserved(key string, chosen []Lease) error {
	if s.indexErr != nil {
		return nil // it is rebuilt by the next command
	}
	var addrs []netip.Addr
	for _, lease := range chosen {
		addrs = append(addrs, lease.Addr)
		if err := s.known.used.add(lease.Addr); err != nil {
			return err
		}
	}
	held, err := s.index.ownedBy(key)
	if err != nil {
		return err
	}
	return s.record(key, append(held, addrs...), addrs)
}

// record writes an owner's holdings and the changed addresses' bits.
func (s *store) record(key string, held, changed []netip.Addr) error {
	if err := s.index.setOwner(key, held); err != nil {
		return err
	}
	if err := s.index.saveChunks(s.known.used, changed); err != nil {
		return err
	}
	return s.index.seal()
}

// release removes the leases that an owner holds under the key.
func (s *store) release(ctx context.Context, key string, addrs []netip.Addr) error {
	if err := s.index.unseal(); err != nil {
		return storeError("change the leases in "+s.dir, err)
	}
	for _, addr := range addrs {
		path := filepath.Join(s.dir, addr.String())
		if err := spec.Do(ctx, "ipam", "rm "+path, func() error { return removeFile(path) }); err != nil {
			return storeError("release "+addr.String(), err)
		}
		s.indexErr = errors.Join(s.indexErr, removeFile(s.index.secondName(addr)), s.known.used.remove(addr))
	}
	if s.indexErr == nil {
		s.indexErr = s.record(key, nil, addrs)
	}
	return nil
}

// collect removes every lease whose owner is not to stay, and goes on after an
// error. It trusts no index and leaves a fresh one.
func (s *store) collect(ctx context.Context, stays func(spec.Attachment) bool) error {
	all, err := s.scan()
	if err != nil {
		return storeError("read the leases in "+s.dir, err)
	}
	if err := s.index.unseal(); err != nil {
		return storeError("change the leases in "+s.dir, err)
	}
	var errs []error
	for key, addrs := range all.owners {
		if stays(parseOwner(key)) {
			continue
		}
		for _, addr := range addrs {
			path := filepath.Join(s.dir, addr.String())
			err := spec.Do(ctx, "ipam", "rm "+path, func() error { return removeFile(path) })
			errs = append(errs, storeError("release "+addr.String(), err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return storeError("read the leases in "+s.dir, s.reload())
}
