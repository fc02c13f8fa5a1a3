package cri

import (
	"context"
	"slices"
	"sync"

	"github.com/mascri/mascri/spec"
)

const (
	// maxTraces is of how many sandboxes the steps are remembered, the latest.
	maxTraces = 128
	// maxSteps bounds the steps of one sandbox; a dual-stack pod with host
	// ports takes about 40.
	maxSteps = 500
)

// trace collects the steps of one call, from this process and from plugins.
type trace struct {
	onStep func(spec.Step)

	mu    sync.Mutex
	steps []spec.Step
}

// traced returns a context whose steps go to the trace and to whoever watches.
func (s *Server) traced(ctx context.Context) (context.Context, *trace) {
	t := &trace{onStep: s.config.OnStep}
	return spec.WithTrace(ctx, t.add), t
}

func (t *trace) add(step spec.Step) {
	t.onStep(step)
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.steps) < maxSteps {
		t.steps = append(t.steps, step)
	}
}

// ordered returns the steps by their start: a step is reported when it ends, so
// the parts of a step come in before it.
func (t *trace) ordered() []spec.Step {
	t.mu.Lock()
	defer t.mu.Unlock()
	steps := slices.Clone(t.steps)
	slices.SortStableFunc(steps, func(a, b spec.Step) int { return a.Start.Compare(b.Start) })
	return steps
}

// traces keeps the steps of the latest sandboxes in memory.
type traces struct {
	mu    sync.Mutex
	of    map[string][]spec.Step // by sandbox ID
	order []string               // oldest first
}

func (t *traces) put(id string, steps []spec.Step) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.of == nil {
		t.of = map[string][]spec.Step{}
	}
	t.of[id] = steps
	t.order = append(t.order, id)
	if len(t.order) > maxTraces {
		delete(t.of, t.order[0])
		t.order = t.order[1:]
	}
}

func (t *traces) get(id string) []spec.Step {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.of[id]
}
