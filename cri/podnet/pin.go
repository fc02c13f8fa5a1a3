package podnet

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/mascri/mascri/spec"
)

// netnsDir is where in the run directory the namespaces are pinned, each under
// its container's ID.
const netnsDir = "netns"

func (m *Manager) pinPath(id string) string {
	return filepath.Join(m.config.RunDir, netnsDir, id)
}

// pin keeps the network namespace at netns alive until unpin, by a bind mount
// (mount_namespaces(7): a namespace exists as long as a file of it is mounted),
// and returns its new path.
func (m *Manager) pin(ctx context.Context, id, netns string) (string, error) {
	// The ID is about to be a file name.
	if err := spec.CheckName(id); err != nil {
		return "", fmt.Errorf("pin network namespace: container ID %w", err)
	}
	path := m.pinPath(id)
	err := spec.Do(ctx, "podnet", fmt.Sprintf("touch %s; mount --bind %s %s", path, netns, path), func() error {
		return pinNamespace(netns, path)
	})
	if err != nil {
		return "", fmt.Errorf("pin network namespace of pod %s: %w", id, err)
	}
	return path, nil
}

// pinned is the pod's namespace, or "" when it is not pinned: for DEL that
// means that it is gone.
func (m *Manager) pinned(id string) string {
	if path := m.pinPath(id); isNamespace(path) {
		return path
	}
	return ""
}

// unpin lets go of the pod's namespace; there may be none.
func (m *Manager) unpin(ctx context.Context, id string) error {
	path := m.pinPath(id)
	if !exists(path) {
		return nil
	}
	err := spec.Do(ctx, "podnet", fmt.Sprintf("umount %s; rm %s", path, path), func() error {
		return unpinNamespace(path)
	})
	if err != nil {
		return fmt.Errorf("unpin network namespace of pod %s: %w", id, err)
	}
	return nil
}
