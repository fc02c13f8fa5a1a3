package loopback

import (
	"context"
	"net"
	"os"

	current "github.com/containernetworking/cni/pkg/types/100"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/mascri/mascri/spec"
)

// add sets lo up (SPEC section 2, "ADD") and reports it. Chained behind another
// plugin it passes that one's result on (section 5: a plugin that changes
// nothing of it outputs what it got).
func add(ctx context.Context, r *spec.Request) (*current.Result, error) {
	lo, err := open(r.Netns)
	if err != nil {
		return nil, err
	}
	defer lo.close()
	if err := lo.refuseForeignAddresses(); err != nil {
		return nil, err // before anything is changed
	}
	if err := lo.set(ctx, "up", (*netlink.Handle).LinkSetUp); err != nil {
		return nil, err
	}
	if r.PrevResult != nil {
		return r.PrevResult, nil
	}
	return lo.result()
}

// del sets lo down, as the reference plugin does. A namespace that is gone took
// its lo with it. The plugin's own namespace is the host's, and its lo is not
// ours to stop, even where CNI_NETNS_OVERRIDE let the request pass.
func del(ctx context.Context, r *spec.Request) error {
	if r.Netns == "" || isOwn(r.Netns) {
		return nil
	}
	lo, err := open(r.Netns)
	if spec.CodeOf(err) == spec.InvalidNetns {
		return nil
	}
	if err != nil {
		return err
	}
	defer lo.close()
	return lo.set(ctx, "down", (*netlink.Handle).LinkSetDown)
}

// isOwn tells whether path is the namespace that the plugin runs in. Without
// /proc nobody can tell, and nothing but DEL asks: a lo that stays up dies with
// its namespace.
func isOwn(path string) bool {
	own, err := os.Stat("/proc/thread-self/ns/net")
	if err != nil {
		return true
	}
	other, err := os.Stat(path)
	return err == nil && os.SameFile(own, other)
}

// check finds lo up, with the addresses that ADD reported (SPEC section 2,
// "CHECK").
func check(_ context.Context, r *spec.Request) error {
	lo, err := open(r.Netns)
	if err != nil {
		return err
	}
	defer lo.close()
	if lo.link.Attrs().Flags&net.FlagUp == 0 {
		return spec.Errorf(spec.CheckFailed, "loopback interface is down: lo in %s", r.Netns)
	}
	present, err := lo.addresses()
	if err != nil {
		return err
	}
	for _, want := range reported(r) {
		if !holds(present, want) {
			return spec.Errorf(spec.CheckFailed, "lo in %s lacks the address %s that ADD reported", r.Netns, want.String())
		}
	}
	return nil
}

// reported lists the addresses of lo in the prevResult: other addresses are
// other plugins'.
func reported(r *spec.Request) []net.IPNet {
	if r.PrevResult == nil {
		return nil
	}
	var all []net.IPNet
	for _, ip := range r.PrevResult.IPs {
		i := ip.Interface
		if i == nil || *i < 0 || *i >= len(r.PrevResult.Interfaces) {
			continue
		}
		if on := r.PrevResult.Interfaces[*i]; on.Name == name && on.Sandbox == r.Netns {
			all = append(all, ip.Address)
		}
	}
	return all
}

func holds(present []netlink.Addr, want net.IPNet) bool {
	for _, a := range present {
		if a.IPNet.String() == want.String() {
			return true
		}
	}
	return false
}

// status tells whether an ADD would work (SPEC section 2, "STATUS"): it takes a
// netlink socket and the right to change another namespace.
func status(context.Context, *spec.Request) error {
	if os.Geteuid() != 0 {
		return spec.Errorf(spec.NotAvailable, "it runs as user %d: setting lo up in a container needs root (CAP_NET_ADMIN)", os.Geteuid())
	}
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return spec.Errorf(spec.NotAvailable, "open a netlink socket: %w", err)
	}
	h.Close()
	return nil
}
