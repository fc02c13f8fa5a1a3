package cri

import (
	"slices"
	"testing"

	"github.com/mascri/mascri/cri/docker"
)

// Each event is told once, in the order of a container's life, whatever was
// missed or is repeated.
func TestToldOnceAndInOrder(t *testing.T) {
	const create, start, die, remove = docker.ActionCreate, docker.ActionStart, docker.ActionDie, docker.ActionRemove
	for name, c := range map[string]struct {
		heard, want []docker.Action
	}{
		"all":                  {[]docker.Action{create, start, die, remove}, []docker.Action{create, start, die, remove}},
		"repeated":             {[]docker.Action{create, start, create, start, die, die, remove, remove}, []docker.Action{create, start, die, remove}},
		"only the end":         {[]docker.Action{die, remove}, []docker.Action{create, start, die, remove}},
		"no end":               {[]docker.Action{create, start, remove}, []docker.Action{create, start, die, remove}},
		"never started":        {[]docker.Action{create, remove}, []docker.Action{create, remove}},
		"never heard of":       {[]docker.Action{remove}, nil},
		"started again":        {[]docker.Action{start, die, start, die}, []docker.Action{create, start, die, start, die}},
		"late, after the next": {[]docker.Action{start, create, die}, []docker.Action{create, start, die}},
	} {
		all := told{containers: map[string]toldContainer{}}
		var got []docker.Action
		for _, action := range c.heard {
			got = append(got, all.until("id", nil, actionStage[action])...)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: heard %v, told %v, want %v", name, c.heard, got, c.want)
		}
		if c.heard[len(c.heard)-1] == remove && len(all.containers) > 0 {
			t.Errorf("%s: %v is remembered of a container that is gone", name, all.containers)
		}
	}
}
