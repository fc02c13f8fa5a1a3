package netplug

import (
	"context"
	"fmt"

	"github.com/mascri/mascri/netplug/filter"
	"github.com/mascri/mascri/spec"
)

// apply makes the plan so. What the packet filter is to hold collects on the way
// and is committed at the end, as one transaction.
func (p Plan) apply(ctx context.Context, k *kernel) error {
	if err := k.take(ctx, p.Steps()); err != nil {
		return err
	}
	return k.commit(ctx)
}

// take applies the steps in their order, but for those that it has taken before;
// the first error ends it.
func (k *kernel) take(ctx context.Context, steps []Step) error {
	for _, step := range steps {
		if k.taken[step] {
			continue
		}
		if err := ctx.Err(); err != nil {
			return spec.Errorf(spec.TryAgain, "stopped before %q: %w", step, err)
		}
		if err := do(ctx, step, func() error { return step.Apply(k) }); err != nil {
			return spec.Errorf(kernelCode(err), "%w", err)
		}
		k.taken[step] = true
	}
	return nil
}

// commit sends what the packet filter steps have collected.
func (k *kernel) commit(ctx context.Context) error {
	if k.filter == nil {
		return nil
	}
	err := spec.Do(ctx, "netplug", "commit the nft commands above as one transaction", k.filter.Flush)
	if err != nil {
		return spec.Errorf(kernelCode(err), "packet filter: %w", err)
	}
	return nil
}

// check compares the plan with the kernel, as it is now, and reports every
// difference.
func (p Plan) check(k *kernel) error {
	clear(k.hostLinks)
	clear(k.podLinks)
	var errs []error
	for _, step := range p.Steps() {
		errs = append(errs, step.Check(k))
	}
	return spec.Differences(errs...)
}

// kernelCode keeps a code that an error has already.
func kernelCode(err error) spec.Code { return spec.CodeOr(err, spec.Kernel) }

// filterRule is what a packet filter struct does on Linux: Apply collects,
// Check reads.
type filterRule interface {
	Apply(*filter.Conn) error
	Check(*filter.Conn) error
}

// Apply collects the rule for the plan's one transaction.
func (s Filter) Apply(k *kernel) error {
	conn, err := k.packetFilter()
	if err != nil {
		return err
	}
	return s.Rule.Apply(conn)
}

// Check reads the rule's objects.
func (s Filter) Check(k *kernel) error {
	conn, err := k.packetFilter()
	if err != nil {
		return err
	}
	return s.Rule.Check(conn)
}

// packetFilter opens the packet filter when it is first needed.
func (k *kernel) packetFilter() (*filter.Conn, error) {
	if k.filter == nil {
		conn, err := filter.Open()
		if err != nil {
			return nil, fmt.Errorf("open the packet filter: %w", err)
		}
		k.filter = conn
	}
	return k.filter, nil
}
