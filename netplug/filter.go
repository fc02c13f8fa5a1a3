package netplug

// Filter is a step whose object lives in the packet filter. All of a plan's
// are committed as one transaction, after its last step.
type Filter struct{ Rule rule }

// rule is one of package filter's structs; it is comparable, as a step must be.
type rule interface {
	String() string
	filterRule
}

func (s Filter) String() string { return s.Rule.String() }

// withoutFilter is the part of a plan that an attachment made by the reference
// plugin has, too: its packet filter rules have another form.
func (p Plan) withoutFilter() Plan {
	without := func(steps []Step) (kept []Step) {
		for _, step := range steps {
			if _, ok := step.(Filter); !ok {
				kept = append(kept, step)
			}
		}
		return kept
	}
	return Plan{Node: without(p.Node), Pod: without(p.Pod)}
}
