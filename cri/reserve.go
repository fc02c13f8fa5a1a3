package cri

import (
	"fmt"
	"sync"
)

// reservations let one call at a time work on a name.
type reservations struct {
	mu    sync.Mutex
	names map[string]bool
}

// reserve takes the name and returns the function that gives it back, or
// errExists when another call has it.
func (r *reservations) reserve(name string) (release func(), err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.names[name] {
		return nil, fmt.Errorf("%s is being created by another call: %w", name, errExists)
	}
	if r.names == nil {
		r.names = map[string]bool{}
	}
	r.names[name] = true
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.names, name)
	}, nil
}
