package portmap

import (
	"context"
	"errors"
	"net/netip"

	current "github.com/containernetworking/cni/pkg/types/100"

	"github.com/mascri/mascri/netplug/filter"
	"github.com/mascri/mascri/spec"
)

// kernelStep is what a step does on Linux: Apply queues, Check reads.
type kernelStep interface {
	Apply(*filter.Conn) error
	Check(*filter.Conn) error
}

// add leads the host ports to the container and passes the result on unchanged.
func add(ctx context.Context, r *spec.Request) (*current.Result, error) {
	steps, err := plan(r)
	if err != nil || len(steps) == 0 {
		return r.PrevResult, err
	}
	err = withFilter(func(conn *filter.Conn) error {
		for _, step := range steps {
			if err := spec.Do(ctx, "portmap", step.String(), func() error { return step.Apply(conn) }); err != nil {
				return err
			}
		}
		return spec.Do(ctx, "portmap", "commit the nft commands above as one transaction", conn.Flush)
	})
	if err != nil {
		return nil, spec.Errorf(spec.CodeOr(err, spec.Kernel), "unable to set up port mappings: %w", err)
	}
	return r.PrevResult, nil
}

// plan is what ADD makes and CHECK compares.
func plan(r *spec.Request) ([]Step, error) {
	config, err := Parse(r.Config)
	if err != nil {
		return nil, spec.Errorf(spec.CodeOf(err), "failed to parse config: %w", err)
	}
	if r.PrevResult == nil {
		return nil, spec.Errorf(spec.InvalidConfig, "must be called as chained plugin: network %q has no prevResult, so put portmap after the plugin that makes the interface", r.Name)
	}
	addresses, err := Addresses(r.PrevResult, r.IfName)
	if err != nil {
		return nil, err
	}
	if len(config.Ports) > 0 && len(addresses) == 0 {
		return nil, spec.Errorf(spec.InvalidConfig, "network %q: prevResult has no address of %s, so host ports would lead nowhere", r.Name, r.IfName)
	}
	// Without a route to the container 127.0.0.1 cannot lead there either; the
	// host's other addresses may, through a gateway.
	device := func(addr netip.Addr) string {
		name, err := routeDevice(addr)
		if err != nil {
			r.Logf("portmap: host ports will not answer at 127.0.0.1: %v", err)
		}
		return name
	}
	return Plan(config, owner(r), addresses, device), nil
}

func owner(r *spec.Request) filter.Owner {
	return filter.Owner{Network: r.Name, ContainerID: r.ContainerID, IfName: r.IfName}
}

// withFilter runs f with the packet filter of the plugin's namespace.
func withFilter(f func(*filter.Conn) error) error {
	conn, err := filter.Open()
	if err != nil {
		return err
	}
	return errors.Join(f(conn), conn.Close())
}

// del removes the attachment's host ports. What they were is read from the
// kernel, so that a configuration that lost them, or is broken, leaks nothing.
func del(ctx context.Context, r *spec.Request) error {
	err := withFilter(func(conn *filter.Conn) error {
		filter.RemoveHostPorts(conn, owner(r))
		filter.RemoveReferenceHostPorts(conn, owner(r))
		return spec.Do(ctx, "portmap", "remove the host ports of "+r.Attachment().String(), conn.Flush)
	})
	if err != nil {
		return spec.Errorf(spec.CodeOr(err, spec.Kernel), "unable to remove port mappings: %w", err)
	}
	return nil
}

// check reports everything that ADD made and the kernel no longer holds. Host
// ports of a pod that the reference plugin attached are where that has them.
func check(_ context.Context, r *spec.Request) error {
	steps, err := plan(r)
	if err != nil || len(steps) == 0 {
		return err
	}
	var rules, sysctls []error
	err = withFilter(func(conn *filter.Conn) error {
		for _, step := range steps {
			if err := step.Check(conn); isSysctl(step) {
				sysctls = append(sysctls, err)
			} else {
				rules = append(rules, err)
			}
		}
		if errors.Join(rules...) != nil {
			if present, err := theirs(steps).Check(conn); present {
				rules = []error{err}
			}
		}
		return nil
	})
	if err != nil {
		return spec.Errorf(spec.CodeOr(err, spec.Kernel), "unable to check port mappings: %w", err)
	}
	return spec.Differences(append(rules, sysctls...)...)
}

func isSysctl(step Step) bool { _, ok := step.(RouteLocalnet); return ok }

// theirs is the plan as the reference plugin carries it out.
func theirs(steps []Step) (p filter.ReferencePorts) {
	for _, step := range steps {
		switch s := step.(type) {
		case filter.HostPort:
			p.Ports = append(p.Ports, s)
		case filter.Hairpin:
			p.Masquerade = true
		}
	}
	return p
}

// gc removes host ports of attachments that are no longer valid.
func gc(_ context.Context, r *spec.Request) error {
	var keep []filter.Owner
	for _, a := range r.Valid {
		keep = append(keep, filter.Owner{Network: r.Name, ContainerID: a.ContainerID, IfName: a.IfName})
	}
	err := withFilter(func(conn *filter.Conn) error { return filter.Collect(conn, r.Name, keep) })
	if err != nil {
		return spec.Errorf(spec.CodeOr(err, spec.Kernel), "unable to collect port mappings: %w", err)
	}
	return nil
}

// status fails when an ADD would: on a configuration that is refused, or a
// kernel without a packet filter that can translate.
func status(_ context.Context, r *spec.Request) error {
	if _, err := Parse(r.Config); err != nil {
		return spec.Errorf(spec.CodeOf(err), "failed to parse config: %w", err)
	}
	err := withFilter(func(conn *filter.Conn) error { return filter.Usable(conn, filter.IPv4) })
	if err != nil {
		return spec.Errorf(spec.NotAvailable, "host ports cannot be made: %w", err)
	}
	return nil
}
