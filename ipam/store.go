package ipam

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/mascri/mascri/spec"
)

// A store is a network's leases on disk, locked while it is open (open.go). The
// files are host-local's, so that a node can change plugins in flight:
//
//	DATADIR/NETWORK/10.22.0.5           CONTAINERID \r\n IFNAME, or the ID alone (old)
//	DATADIR/NETWORK/last_reserved_ip.0  the latest address of range set 0
//	DATADIR/NETWORK/lock                flock(2)
//
// A lease appears complete or not at all: it is written under its second name
// (index.go) and linked here. There is no fsync: a lease that a power failure
// tears is one of a former boot, and those are reclaimed.
type store struct {
	dir      string
	lock     *os.File
	index    index
	known    holdings
	indexErr error    // why the index cannot be used, nil = it can
	made     []string // the directories that this command made, the outermost first
}

// holdings is what is known of the leases: from the index, or from all files.
type holdings struct {
	ownedBy func(key string) ([]netip.Addr, error)
	used    *usedSet
}

// reload reads every lease and makes the index anew. On a full disk the index
// may not come about: then this command works from what it has read.
func (s *store) reload() error {
	all, err := s.read()
	if err != nil {
		return err
	}
	s.indexErr = s.index.rebuild(all)
	return nil
}

// read reads every lease and leaves the index as it is.
func (s *store) read() (leases, error) {
	all, err := s.scan()
	s.known = holdings{func(key string) ([]netip.Addr, error) { return all.owners[key], nil }, all.used}
	return all, err
}

// leases is the outcome of reading every file.
type leases struct {
	owners map[string][]netip.Addr // by the file's content, see ownerKey
	used   *usedSet                // also what is no lease but has an address's name
}

// scan reads every lease. A directory or symlink that has an address's name
// blocks the address and is left alone. An empty file is what a crash of
// host-local leaves: nobody else ever removes it, and under the lock it cannot
// be one that is just being written.
func (s *store) scan() (leases, error) {
	all := leases{map[string][]netip.Addr{}, newUsedSet(nothingUsed)}
	names, err := namesIn(s.dir)
	if err != nil {
		return all, err
	}
	for _, name := range names {
		addr, ok := leaseAddr(name)
		if !ok {
			continue
		}
		path := filepath.Join(s.dir, name)
		if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
			if err := all.used.add(addr); err != nil {
				return all, err
			}
			continue
		}
		key, err := s.ownerOf(addr)
		if err != nil {
			return all, err
		}
		if key == "" {
			if err := removeFile(path); err != nil {
				return all, err
			}
			continue
		}
		all.owners[key] = append(all.owners[key], addr)
		if err := all.used.add(addr); err != nil {
			return all, err
		}
	}
	return all, nil
}

// leaseAddr reads the name of a lease file: an address as net.IP and netip
// print it. The names of other files are none.
func leaseAddr(name string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(name)
	return addr, err == nil && addr.Zone() == "" && !addr.Is4In6() && addr.String() == name
}

// ownerKey is a lease's content: the separator is host-local's.
func ownerKey(a spec.Attachment) string { return strings.TrimSpace(a.ContainerID) + "\r\n" + a.IfName }

// parseOwner is the reverse; the interface name is empty in old leases.
func parseOwner(key string) spec.Attachment {
	id, ifName, _ := strings.Cut(key, "\r\n")
	return spec.Attachment{ContainerID: id, IfName: ifName}
}

// trimLease drops the space around a lease's content, as host-local does, and
// the zeros that a crash of the machine leaves of a file on some filesystems.
func trimLease(content []byte) string {
	return string(bytes.Trim(content, " \t\r\n\v\f\x00"))
}

// ownerOf reads one lease; empty where there is none, or an empty one.
func (s *store) ownerOf(addr netip.Addr) (string, error) {
	content, err := readSmall(filepath.Join(s.dir, addr.String()))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return trimLease(content), err
}

// heldBy lists what the attachment holds, and the key it is held under:
// its own, else the bare container ID of old leases.
func (s *store) heldBy(a spec.Attachment) (string, []netip.Addr, error) {
	for _, key := range []string{ownerKey(a), a.ContainerID} {
		addrs, err := s.heldUnder(key)
		if err != nil || len(addrs) > 0 {
			return key, addrs, err
		}
	}
	return "", nil, nil
}

// heldUnder believes the index only where the lease says the same.
func (s *store) heldUnder(key string) ([]netip.Addr, error) {
	addrs, err := s.known.ownedBy(key)
	for _, addr := range addrs {
		if owner, readErr := s.ownerOf(addr); readErr != nil || owner != key {
			err = errors.Join(fmt.Errorf("%s is leased to %q, not %q", addr, owner, key), readErr)
		}
	}
	if err == nil {
		return addrs, nil
	}
	if err := s.reload(); err != nil {
		return nil, storeError("read the leases in "+s.dir, err)
	}
	return s.known.ownedBy(key)
}

// lastReserved reads the set's latest address. Whatever cannot be read costs
// no more than the round robin's place.
func (s *store) lastReserved(set int) netip.Addr {
	content, err := readSmall(s.lastReservedFile(set))
	if err != nil {
		return netip.Addr{}
	}
	addr, err := parseAddr(strings.TrimSpace(string(content)))
	if err != nil {
		return netip.Addr{}
	}
	return addr
}

func (s *store) lastReservedFile(set int) string {
	return filepath.Join(s.dir, "last_reserved_ip."+strconv.Itoa(set))
}
