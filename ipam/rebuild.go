package ipam

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
)

// bootKnown tells whether this boot has its directory: then no lease of a
// former one is left. It is made last, so an interrupted reclaim is repeated.
func (x index) bootKnown() bool {
	_, err := os.Lstat(x.bootDir())
	return err == nil
}

// reclaim removes the leases of former boots: their containers ended with the
// kernel that ran them, and nobody else will ever release the addresses. Only
// what was certainly made in another boot goes: a lease whose file is still
// the one recorded then. One that host-local has made since stays.
func (x index) reclaim() error {
	if x.boot == unknownBoot {
		return nil
	}
	boots, err := namesIn(x.bootsDir())
	for _, boot := range boots {
		if boot == x.boot || boot == unknownBoot {
			continue
		}
		err = errors.Join(err, x.reclaimBoot(filepath.Join(x.bootsDir(), boot)))
	}
	return err
}

func (x index) reclaimBoot(dir string) error {
	names, err := namesIn(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		lease, second := filepath.Join(x.leases, name), filepath.Join(dir, name)
		if sameFile(lease, second) {
			if err := removeFile(lease); err != nil {
				return err
			}
		}
		if err := removeFile(second); err != nil {
			return err
		}
	}
	return removeFile(dir)
}

func sameFile(a, b string) bool {
	first, err := os.Lstat(a)
	if err != nil {
		return false
	}
	second, err := os.Lstat(b)
	return err == nil && os.SameFile(first, second)
}

// rebuild makes the index say what the leases say. It writes what differs, so
// that after a change by host-local most of the work is comparing.
func (x index) rebuild(all leases) error {
	if err := x.unseal(); err != nil {
		return err
	}
	for _, dir := range []string{x.ownersDir(), x.usedDir(), x.bootDir()} {
		if err := makeDir(dir, 0o700); err != nil {
			return err
		}
	}
	for _, write := range []func(leases) error{x.adopt, x.rebuildOwners, x.rebuildUsed} {
		if err := write(all); err != nil {
			return err
		}
	}
	return x.renewSeal()
}

// adopt gives each lease its second name: whenever it was made, by the next
// boot it will be of a former one.
func (x index) adopt(all leases) error {
	keep := map[string]bool{}
	for _, addrs := range all.owners {
		for _, addr := range addrs {
			keep[addr.String()] = true
			if err := x.adoptOne(addr); err != nil {
				return err
			}
		}
	}
	if err := keepOnly(x.bootDir(), keep); err != nil {
		return err
	}
	if x.boot == unknownBoot {
		return nil
	}
	return removeTree(filepath.Join(x.bootsDir(), unknownBoot))
}

func (x index) adoptOne(addr netip.Addr) error {
	lease, second := filepath.Join(x.leases, addr.String()), x.secondName(addr)
	err := makeLink(lease, second)
	if errors.Is(err, fs.ErrExist) && !sameFile(lease, second) {
		if err := removeFile(second); err != nil {
			return err
		}
		err = makeLink(lease, second)
	}
	// fs.protected_hardlinks (proc_sys_fs(5)) keeps us from another user's
	// file: then its boot stays unknown, and nothing else is lost.
	if errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrPermission) {
		return nil
	}
	return err
}

func (x index) rebuildOwners(all leases) error {
	keep := map[string]bool{}
	for key, addrs := range all.owners {
		keep[filepath.Base(x.ownerFile(key))] = true
		if err := x.setOwner(key, addrs); err != nil {
			return err
		}
	}
	return keepOnly(x.ownersDir(), keep)
}

func (x index) rebuildUsed(all leases) error {
	keep := map[string]bool{}
	for base, c := range all.used.chunks {
		keep[base.String()] = true
		if err := removeFile(x.chunkFile(base)); err != nil { // it may have another length
			return err
		}
		if err := overwriteFile(x.chunkFile(base), c[:]); err != nil {
			return err
		}
	}
	return keepOnly(x.usedDir(), keep)
}

// renewSeal makes the seal of this directory and removes those of others.
func (x index) renewSeal() error {
	path, _, err := x.sealFile()
	if err != nil {
		return err
	}
	old, err := filepath.Glob(filepath.Join(x.dir, "seal.*"))
	if err != nil {
		return fmt.Errorf("list the seals in %s: %w", x.dir, err)
	}
	for _, other := range old {
		if err := removeFile(other); err != nil {
			return err
		}
	}
	if err := createFile(path, nil); err != nil {
		return err
	}
	return x.seal()
}
