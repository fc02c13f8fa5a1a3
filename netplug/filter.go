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
