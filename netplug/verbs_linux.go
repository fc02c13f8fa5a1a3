package netplug

import (
	"context"
	"errors"
	"os"
	"strings"

	current "github.com/containernetworking/cni/pkg/types/100"

	"github.com/mascri/mascri/netplug/filter"
	"github.com/mascri/mascri/spec"
)

// add attaches the container (SPEC section 2, "ADD"). It is the path that this
// repository is about: parse, link and lease at once, plan, apply, result.
func add(ctx context.Context, r *spec.Request) (*current.Result, error) {
	cfg, err := parse(r)
	if err != nil {
		return nil, err
	}
	k, err := openKernel()
	if err != nil {
		return nil, err
	}
	defer k.close()
	if err := k.openPod(cfg.Netns); err != nil {
		return nil, err
	}
	if err := k.refuseExisting(cfg); err != nil {
		return nil, err
	}
	if err := k.refuseBridge(ctx, cfg); err != nil {
		return nil, err
	}
	if cfg.SpoofCheck && cfg.MAC == nil {
		cfg.MAC = randomMAC() // the rule must know it before the kernel would choose one
	}
	answer, err := connect(ctx, k, r, cfg)
	if err != nil {
		return nil, err
	}
	result, err := attach(ctx, k, cfg, answer)
	if err != nil {
		return nil, errors.Join(err, detach(context.WithoutCancel(ctx), k, r, cfg))
	}
	return appended(r.PrevResult, result), nil
}

// connect makes the pod's link while the IPAM plugin finds an address for it:
// each takes about as long as the other. On a node without the bridge the address
// comes first: an ADD that finds none must not leave a bridge.
func connect(ctx context.Context, k *kernel, r *spec.Request, cfg Config) (*current.Result, error) {
	if _, err := k.hostLink(cfg.Bridge); isNotFound(err) {
		return lease(ctx, r, cfg)
	}
	type leased struct {
		answer *current.Result
		err    error
	}
	leasing := make(chan leased, 1)
	go func() {
		answer, err := lease(ctx, r, cfg)
		leasing <- leased{answer, err}
	}()
	linkErr := k.take(ctx, linkSteps(cfg))
	ipam := <-leasing
	switch {
	case ipam.err != nil: // the lease is gone already: Request.Delegate
		return nil, errors.Join(ipam.err, linkErr, k.removeHostLink(cfg.hostEnd()))
	case linkErr != nil:
		return nil, errors.Join(linkErr, detach(context.WithoutCancel(ctx), k, r, cfg))
	}
	return ipam.answer, nil
}

// lease asks the IPAM plugin; a layer 2 network has none and gets nothing.
func lease(ctx context.Context, r *spec.Request, cfg Config) (*current.Result, error) {
	if cfg.IPAM == "" {
		return &current.Result{}, nil
	}
	var answer *current.Result
	err := spec.Do(ctx, "netplug", "CNI_COMMAND=ADD "+cfg.IPAM, func() (err error) {
		answer, err = r.Delegate(ctx, "ADD", cfg.IPAM)
		return err
	})
	if err == nil && len(answer.IPs) == 0 {
		err = spec.Errorf(spec.InvalidConfig, "IPAM plugin returned missing IP config: %s gave no address for network %q", cfg.IPAM, cfg.Network)
	}
	return answer, err
}

// attach plans and applies the rest.
func attach(ctx context.Context, k *kernel, cfg Config, answer *current.Result) (*current.Result, error) {
	leases, routes, err := addresses(answer)
	if err != nil {
		return nil, err
	}
	if err := cfg.carries(leases); err != nil {
		return nil, err
	}
	if err := PlanBridge(cfg, leases, routes).apply(ctx, k); err != nil {
		return nil, err
	}
	return k.result(cfg, leases, routes, answer)
}

// refuseExisting ends an ADD for an interface that is there (SPEC section 2,
// "ADD": an error if an interface of that name already exists) before anything
// is touched, the live attachment's lease above all. A host end whose pod end
// is not in this namespace is left over from a sandbox that was never deleted.
func (k *kernel) refuseExisting(cfg Config) error {
	_, err := k.pod.LinkByName(cfg.Attachment.IfName)
	if err == nil {
		return spec.Errorf(spec.InvalidEnv, "CNI_IFNAME: interface %q already exists in %s: DEL the attachment first, or choose another name", cfg.Attachment.IfName, cfg.Netns)
	}
	if !isNotFound(err) {
		return spec.Errorf(spec.Kernel, "look up %s in %s: %w", cfg.Attachment.IfName, cfg.Netns, err)
	}
	return k.removeHostLink(hostEnd(cfg.Network, cfg.Attachment))
}

// refuseBridge ends an ADD whose bridge cannot be had before an address is
// leased for it.
func (k *kernel) refuseBridge(ctx context.Context, cfg Config) error {
	var err error
	if cfg.VLANs.enabled() && !k.knowsVLANs() {
		err = k.take(ctx, []Step{bridgeStep(cfg)}) // only trying tells whether the kernel can
	} else if _, err = k.bridge(cfg.Bridge); isNotFound(err) {
		err = nil
	}
	switch {
	case spec.CodeOf(err) == spec.UnsupportedField: // section 5, "Error": with its key and value
		return spec.Errorf(spec.UnsupportedField, "%s: %w", cfg.VLANs, err)
	case err != nil:
		return spec.Errorf(kernelCode(err), "%w", err)
	}
	return nil
}

// del takes the attachment back (SPEC section 2, "DEL"). Everything is found
// by network, container ID and interface name, so it works without a namespace,
// a prevResult or a runtimeConfig.
func del(ctx context.Context, r *spec.Request) error {
	cfg, err := parseLenient(r)
	if err != nil {
		return err
	}
	k, err := openKernel()
	if err != nil {
		return err
	}
	defer k.close()
	return detach(ctx, k, r, cfg)
}

// detach undoes the Pod steps of an ADD, as far as they got, and gives the
// address back: while the old link exists, no other pod may have it. The packet
// filter is cleaned, and the address released, while the kernel takes its time
// over the link.
func detach(ctx context.Context, k *kernel, r *spec.Request, cfg Config) error {
	filtered := make(chan error, 1)
	conn, err := k.packetFilter()
	if err != nil {
		filtered <- spec.Errorf(spec.Kernel, "%w", err)
	} else {
		conn.Discard() // an ADD that failed on the way has not committed its own part
		go func() {
			filtered <- spec.Do(ctx, "netplug", "nft: remove what belongs to "+cfg.Attachment.String(), func() error {
				return removeFromFilter(conn, cfg)
			})
		}()
	}
	host := hostEnd(cfg.Network, cfg.Attachment)
	var going removal
	linkErr := spec.Do(ctx, "netplug", "ip link del "+host, func() (err error) {
		going, err = k.startRemoving(host)
		return errors.Join(err, k.removePodLink(cfg))
	})
	if linkErr == nil {
		linkErr = release(ctx, r, cfg)
	}
	return errors.Join(linkErr, <-filtered, spec.Do(ctx, "netplug", "wait until the kernel has freed "+host, going.wait))
}

// removeFromFilter also takes what the reference plugin left there, for a node
// that changed over to this one.
func removeFromFilter(conn *filter.Conn, cfg Config) error {
	filter.RemoveOwner(conn, owner(cfg))
	filter.RemoveReference(conn, owner(cfg))
	if err := conn.Flush(); err != nil {
		return spec.Errorf(kernelCode(err), "packet filter: %w", err)
	}
	return nil
}

// release gives the addresses back.
func release(ctx context.Context, r *spec.Request, cfg Config) error {
	if cfg.IPAM == "" {
		return nil
	}
	return spec.Do(ctx, "netplug", "CNI_COMMAND=DEL "+cfg.IPAM, func() error {
		_, err := r.Delegate(ctx, "DEL", cfg.IPAM)
		return err
	})
}

// check compares what ADD made with what is there (SPEC section 2, "CHECK").
// The plan is made again from the configuration and the prevResult.
func check(ctx context.Context, r *spec.Request) error {
	cfg, err := parse(r)
	if err != nil {
		return err
	}
	if r.PrevResult == nil {
		return spec.Errorf(spec.InvalidConfig, "Required prevResult missing: CHECK compares with what ADD of network %q returned", r.Name)
	}
	if cfg.IPAM != "" {
		if _, err := r.Delegate(ctx, "CHECK", cfg.IPAM); err != nil {
			return err
		}
	}
	leases, routes, err := addresses(ofInterface(r.PrevResult, cfg))
	if err != nil {
		return err
	}
	// The default route that ADD made is among the prevResult's, unless a later
	// plugin of the chain took it away.
	cfg.DefaultGateway = false
	k, err := openKernel()
	if err != nil {
		return err
	}
	defer k.close()
	if err := k.openPod(cfg.Netns); err != nil {
		return err
	}
	if cfg, err = k.checkInterfaces(cfg, r.PrevResult); err != nil {
		return err
	}
	plan := PlanBridge(cfg, leases, routes)
	if cfg.HostEnd != "" {
		plan = plan.withoutFilter()
	}
	return plan.check(k)
}

// gc removes what belongs to the network and to none of the valid attachments
// (SPEC section 2, "GC"). One failure does not stop the rest.
func gc(ctx context.Context, r *spec.Request) error {
	cfg, err := parseLenient(r)
	if err != nil {
		return err
	}
	k, err := openKernel()
	if err != nil {
		return err
	}
	defer k.close()
	errs := []error{k.collectLinks(cfg.Network, r.Valid), k.collectFilter(cfg.Network, r.Valid)}
	if cfg.IPAM != "" {
		_, err := r.Delegate(ctx, "GC", cfg.IPAM)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// status tells whether an ADD would work (SPEC section 2, "STATUS").
func status(ctx context.Context, r *spec.Request) error {
	cfg, err := parse(r)
	if err != nil {
		return err
	}
	k, err := openKernel()
	if err != nil {
		return spec.Errorf(spec.NotAvailable, "network %q is not ready: %w", cfg.Network, err)
	}
	defer k.close()
	if err := k.ready(cfg); err != nil {
		return err
	}
	if cfg.IPAM == "" {
		return nil
	}
	_, err = r.Delegate(ctx, "STATUS", cfg.IPAM)
	return err
}

// ready asks the kernel for what an ADD needs, and the packet filter whether
// somebody else's rules cut the pods off.
func (k *kernel) ready(cfg Config) error {
	if os.Geteuid() != 0 {
		return spec.Errorf(spec.NotAvailable, "network %q is not ready: netplug runs as user %d, and making links needs root (CAP_NET_ADMIN)", cfg.Network, os.Geteuid())
	}
	if _, err := k.bridge(cfg.Bridge); err != nil && !isNotFound(err) {
		return spec.Errorf(spec.NotAvailable, "network %q is not ready: %w", cfg.Network, err)
	}
	if cfg.VLANs.enabled() && lacksVLANs(linksDir) {
		return spec.Errorf(spec.NotAvailable, "network %q is not ready: %s: %w", cfg.Network, cfg.VLANs, errNoVLANs)
	}
	conn, err := k.packetFilter()
	if err != nil {
		return spec.Errorf(spec.NotAvailable, "network %q is not ready: %w", cfg.Network, err)
	}
	if cfg.Masquerade {
		if err := filter.Usable(conn, filter.IPv4); err != nil {
			return spec.Errorf(spec.NotAvailable, "network %q is not ready: %w", cfg.Network, err)
		}
	}
	obstacles, err := filter.Obstacles(conn, cfg.Bridge)
	if err != nil {
		return spec.Errorf(spec.NotAvailable, "network %q is not ready: %w", cfg.Network, err)
	}
	if len(obstacles) > 0 && cfg.IsGateway {
		return spec.Errorf(spec.LimitedConnectivity, "pods of network %q cannot be reached through this node: %s", cfg.Network, strings.Join(obstacles, "; "))
	}
	return nil
}
