package podnet

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/types"
)

// GC frees what belongs to no pod of keep (container IDs): first each pod that
// there is a record or a pin of, by an ordinary DEL; then, by CNI GC, what the
// plugins of the current network find themselves, provided that the network is
// one of Config.OwnNetworks. On a network that others use too, theirs would go.
// It goes on after an error and reports all.
func (m *Manager) GC(ctx context.Context, keep []string) error {
	unlock, err := m.locks.lockAll(ctx)
	if err != nil {
		return fmt.Errorf("collect garbage of networks: %w", err)
	}
	defer unlock()
	known, err := m.Known()
	if err != nil {
		return err
	}
	var errs []error
	for _, id := range known {
		if slices.Contains(keep, id) {
			continue
		}
		m.log.Info("tearing down a pod that has gone", "sandbox", id)
		errs = append(errs, m.tearDown(ctx, id, nil))
	}
	return errors.Join(append(errs, m.collect(ctx, keep))...)
}

// collect runs CNI GC on the current network where it is ours alone.
func (m *Manager) collect(ctx context.Context, keep []string) error {
	network, err := m.Network()
	if err != nil {
		m.log.Info("no garbage collection without a network", "reason", err)
		return nil
	}
	if !slices.Contains(m.config.OwnNetworks, network.Name) {
		m.log.Debug("no garbage collection on a network that may have other users", "network", network.Name)
		return nil
	}
	args := &libcni.GCArgs{ValidAttachments: []types.GCAttachment{}}
	for _, id := range keep {
		args.ValidAttachments = append(args.ValidAttachments, types.GCAttachment{ContainerID: id, IfName: IfName})
	}
	if err := m.cni.GCNetworkList(ctx, network.list, args); err != nil {
		return fmt.Errorf("collect garbage of network %s: %w", network.Name, err)
	}
	return nil
}
