package podnet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/mascri/mascri/spec"
)

// owedDir holds, in the state directory, one file for each pod whose DEL is
// owed: its container ID with owedExtension, and in it the Attachment.
const (
	owedDir       = "owed"
	owedExtension = ".json"
)

func (m *Manager) owedPath(id string) string {
	return filepath.Join(m.config.StateDir, owedDir, id+owedExtension)
}

// Owe writes down that a pod has to be torn down although its container will be
// gone: what DEL needs outlives it. Settle and GC pay.
func (m *Manager) Owe(id string, a *Attachment) error {
	if err := spec.CheckName(id); err != nil {
		return fmt.Errorf("owe a pod's DEL: container ID %w", err)
	}
	if a == nil { // nothing is known but libcni's record, if there is one
		a = &Attachment{}
	}
	text, err := json.Marshal(a)
	if err == nil {
		err = os.MkdirAll(filepath.Join(m.config.StateDir, owedDir), 0o700)
	}
	if err == nil {
		err = writeFile(m.owedPath(id), text)
	}
	if err != nil {
		return fmt.Errorf("owe the DEL of pod %s: %w", id, err)
	}
	return nil
}

// Settle tries again to tear down the pods whose DEL is owed. It goes on after
// an error and reports all.
func (m *Manager) Settle(ctx context.Context) error {
	ids, err := m.owed()
	errs := []error{err}
	for _, id := range ids {
		errs = append(errs, m.TearDownPod(ctx, id, nil))
	}
	return errors.Join(errs...)
}

// owed lists the pods whose DEL is owed.
func (m *Manager) owed() ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(m.config.StateDir, owedDir))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("list the pods whose DEL is owed: %w", err)
	}
	var ids []string
	for _, entry := range entries {
		// Others are temporary files of a writer that was killed.
		if id, ok := strings.CutSuffix(entry.Name(), owedExtension); ok {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// owedAttachment is what was written down for a pod; nil where nothing was.
func (m *Manager) owedAttachment(id string) (*Attachment, error) {
	text, err := os.ReadFile(m.owedPath(id))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read what DEL pod %s is owed: %w", id, err)
	}
	a, err := DecodeAttachment(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", m.owedPath(id), err)
	}
	return &a, nil
}

// settled removes what was written down for a pod; there may be nothing.
func (m *Manager) settled(id string) error {
	if err := os.Remove(m.owedPath(id)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("forget the DEL that was owed: %w", err)
	}
	return nil
}
