package ipam

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"

	current "github.com/containernetworking/cni/pkg/types/100"

	"github.com/mascri/mascri/spec"
)

// Plugin is what the command ipam runs.
func Plugin() spec.Plugin {
	return spec.Plugin{
		Name:  "ipam",
		About: "ipam: a CNI plugin that leases addresses from ranges, kept as files on this host",
		Add:   Add, Del: Del, Check: Check, GC: GC, Status: Status,
	}
}

// placeTries bounds how often ADD chooses again because somebody who does not
// take the lock put a file where it wanted to make one.
const placeTries = 3

// Add leases one address from each range set (section 4 of the CNI
// specification), in one critical section, all or none. Errors have code 7 or 4
// for what was asked, 101 when nothing is left, 103 for the disk, 11 for the lock.
func Add(ctx context.Context, r *spec.Request) (*current.Result, error) {
	config, err := ParseConfig(r.Config, r.Args)
	if err != nil {
		return nil, err
	}
	dns, err := readResolvConf(config.ResolvConf)
	if err != nil {
		return nil, err
	}
	s, err := openForLease(ctx, config)
	if err != nil {
		return nil, err
	}
	defer s.finish(r)
	chosen, err := lease(ctx, s, config, r.Attachment())
	if err != nil {
		if undo := s.unmake(); undo != nil {
			r.Logf("ipam: remove the directories that the failed ADD made for network %q: %v", r.Name, undo)
		}
		return nil, err
	}
	result := resultOf(config, chosen)
	result.DNS = dns
	return result, nil
}

// openForLease makes the store of a network that has none, unless the request
// cannot be met even there: a refused ADD leaves no directory, and so never has
// to remove one that others may be waiting in.
func openForLease(ctx context.Context, config Config) (*store, error) {
	s, err := openStore(ctx, config.DataDir, config.Network)
	if s != nil || err != nil {
		return s, err
	}
	if _, err := allocateFirst(config); err != nil {
		return nil, err
	}
	return makeStore(ctx, config.DataDir, config.Network)
}

// lease chooses and writes.
func lease(ctx context.Context, s *store, config Config, owner spec.Attachment) ([]Lease, error) {
	for try := 1; ; try++ {
		_, held, err := s.heldBy(owner)
		if err != nil {
			return nil, err
		}
		chosen, err := allocate(config, situation{owner, held, s.lastReserved, s.known.used})
		if err != nil {
			return nil, err
		}
		err = s.reserve(ctx, owner, chosen)
		if err == nil {
			return chosen, nil
		}
		if !errors.Is(err, fs.ErrExist) || try == placeTries {
			return nil, storeError("lease an address to "+owner.String(), err)
		}
		if err := s.reload(); err != nil {
			return nil, storeError("read the leases in "+s.dir, err)
		}
	}
}

// finish unlocks the store. A lost index costs the next command time, and the
// file lock ends with the process: neither fails a verb that did its work.
func (s *store) finish(r *spec.Request) {
	if s.indexErr != nil {
		r.Logf("ipam: the index of network %q is not up to date, the next command reads all leases: %v", r.Name, s.indexErr)
	}
	if err := s.Close(); err != nil {
		r.Logf("ipam: unlock network %q: %v", r.Name, err)
	}
}

// resultOf is an IPAM plugin's result: no interfaces (section 4).
func resultOf(config Config, chosen []Lease) *current.Result {
	result := &current.Result{CNIVersion: current.ImplementedSpecVersion, Routes: config.Routes}
	for _, l := range chosen {
		mask := net.CIDRMask(l.Range.Subnet.Bits(), l.Addr.BitLen())
		result.IPs = append(result.IPs, &current.IPConfig{
			Address: net.IPNet{IP: l.Addr.AsSlice(), Mask: mask},
			Gateway: l.Range.Gateway.AsSlice(),
		})
	}
	return result
}

// Del releases what the attachment holds. It needs the network's name, the
// data directory and CNI_CONTAINERID with CNI_IFNAME, nothing else that ADD
// had, and succeeds when nothing is held (section 2, "DEL").
func Del(ctx context.Context, r *spec.Request) error {
	s, err := openForRelease(ctx, r)
	if s == nil || err != nil {
		return err
	}
	defer s.finish(r)
	key, held, err := s.heldBy(r.Attachment())
	if err != nil || len(held) == 0 {
		return err
	}
	return s.release(ctx, key, held)
}

// openForRelease opens the store; nil where the network never had one, as
// there is nothing to release then.
func openForRelease(ctx context.Context, r *spec.Request) (*store, error) {
	dataDir, err := parseRelease(r.Config)
	if err != nil {
		return nil, err
	}
	return openStore(ctx, dataDir, r.Name)
}

// Check finds the attachment's leases (section 2, "CHECK"): each address of
// prevResult that lies in our ranges, and at least one.
func Check(ctx context.Context, r *spec.Request) error {
	config, err := ParseConfig(r.Config, r.Args)
	if err != nil {
		return err
	}
	s, err := viewStore(ctx, config.DataDir, config.Network)
	if err != nil {
		return err
	}
	defer s.finish(r)
	_, held, err := s.heldBy(r.Attachment())
	if err != nil {
		return err
	}
	if len(held) == 0 {
		return spec.Errorf(spec.CheckFailed, "host-local: Failed to find address added by container %s: %s holds none in %s", r.ContainerID, r.Attachment(), s.dir)
	}
	return checkPrevResult(r, config.Sets, held)
}

func checkPrevResult(r *spec.Request, sets []RangeSet, held []netip.Addr) error {
	if r.PrevResult == nil {
		return nil
	}
	leased := map[netip.Addr]bool{}
	for _, addr := range held {
		leased[addr] = true
	}
	for _, ip := range r.PrevResult.IPs {
		addr, ok := netip.AddrFromSlice(ip.Address.IP)
		addr = addr.Unmap()
		for _, set := range sets {
			if ok && set.contains(addr) && !leased[addr] {
				return spec.Errorf(spec.CheckFailed, "host-local: Failed to find address added by container %s: %s of prevResult is not leased to %s", r.ContainerID, addr, r.Attachment())
			}
		}
	}
	return nil
}

// GC releases every lease whose attachment is not in the request's list
// (section 2, "GC"), and only those. An old lease with a bare container ID
// stays with any attachment of that container.
func GC(ctx context.Context, r *spec.Request) error {
	s, err := openForRelease(ctx, r)
	if s == nil || err != nil {
		return err
	}
	defer s.finish(r)
	valid := map[spec.Attachment]bool{}
	for _, a := range r.Valid {
		valid[a] = true
		valid[spec.Attachment{ContainerID: a.ContainerID}] = true
	}
	return s.collect(ctx, func(a spec.Attachment) bool { return valid[a] })
}

// Status fails with code 50 when an ADD would (section 2, "STATUS"): no
// address is left in a set, or the data directory cannot be written. Ranges
// may be missing, as the runtime gives its own with ADD only.
func Status(ctx context.Context, r *spec.Request) error {
	config, err := ParseConfig(r.Config, nil)
	if errors.Is(err, noRanges) {
		config, err = withoutRanges(r)
	}
	if err != nil {
		return err
	}
	s, err := viewStore(ctx, config.DataDir, config.Network)
	if spec.CodeOf(err) == spec.TryAgain {
		return err
	}
	if err != nil {
		return spec.Errorf(spec.NotAvailable, "%w", err)
	}
	defer s.finish(r)
	if err := writable(s.dir); err != nil {
		return spec.Errorf(spec.NotAvailable, "%w", storeError("write to the lease directory", err))
	}
	for i, set := range config.Sets {
		if _, err := pick(set, netip.Addr{}, situation{used: s.known.used}, s.lastReserved(i)); err != nil {
			return spec.Errorf(spec.NotAvailable, "range %d: %w", i, err)
		}
	}
	return nil
}

// writable tells whether leases can be made in the directory or, where it is
// not there yet, in the one that it would be made in.
func writable(dir string) error {
	for {
		_, err := os.Stat(dir)
		if err == nil {
			return tryToWrite(dir)
		}
		if !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			return err
		}
		dir = filepath.Dir(dir)
	}
}

// Preview is what an ADD with this configuration would return if no address
// were in use. It leases nothing, needs no disk and runs on any system; DNS
// settings are left out where the file of resolvConf is not there.
func Preview(config []byte, args spec.Args) (*current.Result, error) {
	c, err := ParseConfig(config, args)
	if err != nil {
		return nil, err
	}
	chosen, err := allocateFirst(c)
	if err != nil {
		return nil, err
	}
	result := resultOf(c, chosen)
	result.DNS, err = readResolvConf(c.ResolvConf)
	if errors.Is(err, fs.ErrNotExist) {
		return result, nil
	}
	return result, err
}
