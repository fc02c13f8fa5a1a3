package cri

import "sync"

// decoded remembers what containers' labels say. They are written once, with the
// container, and to read them for each answer would take longer than all the
// rest of it: 200 pods are 10 ms of protobuf JSON.
type decoded[T any] struct {
	mu sync.Mutex
	of map[string]reading[T] // by container ID
}

// reading is what a label's text says.
type reading[T any] struct {
	text string
	said T
}

// get returns what the text of a container's label says; read reads it.
func (d *decoded[T]) get(id, text string, read func() (T, error)) (T, error) {
	d.mu.Lock()
	known, ok := d.of[id]
	d.mu.Unlock()
	if ok && known.text == text {
		return known.said, nil
	}
	said, err := read()
	if err != nil {
		return said, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.of == nil {
		d.of = map[string]reading[T]{}
	}
	d.of[id] = reading[T]{text, said}
	return said, nil
}

// keep forgets all but the containers with these IDs, once there are others.
func (d *decoded[T]) keep(ids []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.of) <= len(ids) {
		return
	}
	kept := make(map[string]reading[T], len(ids))
	for _, id := range ids {
		if known, ok := d.of[id]; ok {
			kept[id] = known
		}
	}
	d.of = kept
}
