package cri

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// undoTimeout bounds the undoing of a call as a whole.
const undoTimeout = 2 * time.Minute

// undoStack remembers how to take back what was done so far.
type undoStack struct {
	steps []undoStep
}

type undoStep struct {
	what string
	undo func(context.Context) error
}

// push adds a step. It belongs before the action that it undoes when that may
// leave something behind although it reports an error.
func (u *undoStack) push(what string, undo func(context.Context) error) {
	u.steps = append(u.steps, undoStep{what, undo})
}

// unwind undoes the steps, last first, also when the caller has gone: a call is
// often undone just because it was cancelled. It ends at the first step that
// fails. What is left is then a sandbox that is not ready and that knows how it
// was set up; StopPodSandbox and RemovePodSandbox try again.
func (u *undoStack) unwind(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	for len(u.steps) > 0 {
		last := u.steps[len(u.steps)-1]
		u.steps = u.steps[:len(u.steps)-1]
		if err := last.undo(ctx); err != nil {
			return errors.Join(fmt.Errorf("undo: %s: %w", last.what, err))
		}
	}
	return nil
}
