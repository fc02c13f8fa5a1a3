package ipam

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// privateDir is where the index is, in the data directory. Not in a network's
// directory: host-local walks that and reads every file it meets. The name
// cannot be a network's, as those begin with a letter or digit.
const privateDir = ".ipam"

// An index answers without reading every lease who holds what and what is
// free. It is a cache: the lease files alone are the truth, host-local may
// change them at any time, and whatever is in doubt is read anew.
//
//	seal.INODE         valid while its time is that of the lease directory
//	owners/HASH        a symlink whose target lists the owner's addresses
//	used/BASE          a bitmap of 4096 addresses
//	boots/BOOT/ADDR    a second name of the lease file ADDR, made in that boot
//
// The seal: after each of our changes we set both times to the same random
// moment of the past. Whoever else adds or removes a file makes the kernel set
// the directory's to the present: so equal times mean that nobody did.
//
// The second name: as long as it exists the kernel gives its inode to no other
// file, so one lstat tells whether a lease is still the one we made.
type index struct {
	dir    string // DATADIR/.ipam/NETWORK
	leases string // DATADIR/NETWORK
	boot   string
}

func (x index) ownersDir() string                 { return filepath.Join(x.dir, "owners") }
func (x index) usedDir() string                   { return filepath.Join(x.dir, "used") }
func (x index) bootsDir() string                  { return filepath.Join(x.dir, "boots") }
func (x index) bootDir() string                   { return filepath.Join(x.bootsDir(), x.boot) }
func (x index) temporary() string                 { return filepath.Join(x.dir, "new") }
func (x index) secondName(addr netip.Addr) string { return filepath.Join(x.bootDir(), addr.String()) }
func (x index) chunkFile(base netip.Addr) string  { return filepath.Join(x.usedDir(), base.String()) }

// ownerFile needs no strong hash: what it leads to is compared with the lease.
func (x index) ownerFile(key string) string {
	hash := fnv.New128a()
	hash.Write([]byte(key))
	return filepath.Join(x.ownersDir(), fmt.Sprintf("%x", hash.Sum(nil)))
}

// sealFile is named by the inode of the directory that it seals, so that one
// restored from a backup is not mistaken for it.
func (x index) sealFile() (path string, sealed time.Time, err error) {
	info, err := os.Stat(x.leases)
	if err != nil {
		return "", time.Time{}, err
	}
	stat, ok := sysStat(info)
	if !ok {
		return "", time.Time{}, fmt.Errorf("%s has no inode number", x.leases)
	}
	return filepath.Join(x.dir, fmt.Sprintf("seal.%d", stat.Ino)), info.ModTime(), nil
}

// sealed tells whether the index may be believed.
func (x index) sealed() bool {
	path, modified, err := x.sealFile()
	if err != nil {
		return false
	}
	seal, err := os.Lstat(path)
	return err == nil && seal.ModTime().Equal(modified)
}

// unseal must come before the first change: whoever finds a half-made one
// then reads the leases anew.
func (x index) unseal() error {
	path, _, err := x.sealFile()
	if err != nil {
		return err
	}
	if err := setTime(path, time.Unix(0, 0)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// seal declares the index complete. The moment is one between 1980 and 1997,
// which no clock shows any more, and a new one each time, so that no copy of
// an older directory has it.
func (x index) seal() error {
	path, _, err := x.sealFile()
	if err != nil {
		return err
	}
	const from, span = 10 * 365 * 24 * 3600, 1 << 29 // seconds
	moment := time.Unix(from+rand.Int64N(span), rand.Int64N(1e9))
	if err := setTime(path, moment); err != nil {
		return err
	}
	return setTime(x.leases, moment)
}

// ownedBy looks an owner up; an unreadable entry is an error.
func (x index) ownedBy(key string) ([]netip.Addr, error) {
	list, err := os.Readlink(x.ownerFile(key))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var addrs []netip.Addr
	for text := range strings.SplitSeq(list, ",") {
		addr, ok := leaseAddr(text)
		if !ok {
			return nil, fmt.Errorf("%s: %q is no address", x.ownerFile(key), text)
		}
		addrs = append(addrs, addr)
	}
	return addrs, nil
}

// setOwner records an owner's addresses, none = forget it.
func (x index) setOwner(key string, addrs []netip.Addr) error {
	path := x.ownerFile(key)
	if len(addrs) == 0 {
		return removeFile(path)
	}
	texts := make([]string, len(addrs))
	for i, addr := range addrs {
		texts[i] = addr.String()
	}
	list := strings.Join(texts, ",")
	err := makeSymlink(list, path)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	if old, err := os.Readlink(path); err == nil && old == list {
		return nil
	}
	if err := removeFile(path); err != nil {
		return err
	}
	return makeSymlink(list, path)
}

// chunk loads a part of the bitmap; there is no file where all is free.
func (x index) chunk(base netip.Addr) (*chunk, error) {
	var c chunk
	content, err := readSmall(x.chunkFile(base))
	if err == nil && len(content) != len(c) {
		return nil, fmt.Errorf("%s has %d bytes, not %d", x.chunkFile(base), len(content), len(c))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	copy(c[:], content)
	return &c, nil
}

// saveChunks writes the parts of the bitmap that hold these addresses.
func (x index) saveChunks(used *usedSet, addrs []netip.Addr) error {
	saved := map[netip.Addr]bool{}
	for _, addr := range addrs {
		base, _ := split(addr)
		if saved[base] {
			continue
		}
		saved[base] = true
		c, err := used.at(base)
		if err != nil {
			return err
		}
		if err := overwriteFile(x.chunkFile(base), c[:]); err != nil {
			return err
		}
	}
	return nil
}
