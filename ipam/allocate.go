package ipam

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/mascri/mascri/spec"
)

// A Lease is an address chosen for a container.
type Lease struct {
	Set   int        // the index of its range set in Config.Sets
	Range Range      // where it comes from: the subnet's length and the gateway
	Addr  netip.Addr // what the container gets
}

// occupancy tells used addresses from free ones.
type occupancy interface {
	// firstFree finds the lowest free address from first to last, both
	// included; false means that all are used.
	firstFree(first, last netip.Addr) (netip.Addr, bool, error)
}

// situation is what the choice depends on besides the configuration.
type situation struct {
	owner spec.Attachment
	held  []netip.Addr             // what the owner already has
	last  func(set int) netip.Addr // the set's latest lease; invalid = none known
	used  occupancy
}

// allocate chooses one address from each set and writes nothing. It is
// all-or-nothing, so a failure has nothing to take back.
func allocate(c Config, s situation) ([]Lease, error) {
	wanted, leftover := assign(c.Sets, c.Requests)
	var leases []Lease
	for i, set := range c.Sets {
		lease, err := pick(set, wanted[i], s, s.last(i))
		if err != nil {
			const what = "failed to allocate for range %d" // users search for these words
			return nil, spec.Errorf(spec.CodeOf(err), what+": %w", i, err)
		}
		lease.Set = i
		leases = append(leases, lease)
	}
	if len(leftover) > 0 {
		texts := make([]string, len(leftover))
		for i, request := range leftover {
			texts[i] = request.Addr.String() + " (" + request.Source + ")"
		}
		return nil, spec.Errorf(spec.InvalidConfig, "failed to allocate all requested IPs: %s: no range set is left for them", strings.Join(texts, " "))
	}
	return leases, nil
}

// allocateFirst chooses as the very first ADD of the network would.
func allocateFirst(c Config) ([]Lease, error) {
	nothing := func(int) netip.Addr { return netip.Addr{} }
	return allocate(c, situation{last: nothing, used: newUsedSet(nothingUsed)})
}

// assign gives each set the first request that lies in it. Of two sources
// that want different addresses of one set the stronger wins; two wishes of
// one source, or one outside all sets, are left over. host-local uses all that
// it is given and fails on both: so whatever works there gives the same here.
func assign(sets []RangeSet, requests []Request) (map[int]netip.Addr, []Request) {
	chosen := map[int]Request{}
	var leftover []Request
	for _, request := range requests {
		i := slices.IndexFunc(sets, func(set RangeSet) bool { return set.contains(request.Addr) })
		first, taken := chosen[i]
		switch {
		case i < 0, taken && first.Source == request.Source && first.Addr != request.Addr:
			leftover = append(leftover, request)
		case !taken:
			chosen[i] = request
		}
	}
	wanted := map[int]netip.Addr{}
	for i, request := range chosen {
		wanted[i] = request.Addr
	}
	return wanted, leftover
}

// pick chooses one address of the set: the wanted one, or the next free one
// after the last, round and round, so that an address rests as long as
// possible before somebody else gets it.
func pick(set RangeSet, wanted netip.Addr, s situation, last netip.Addr) (Lease, error) {
	for _, addr := range s.held {
		if set.contains(addr) {
			return Lease{}, spec.Errorf(spec.InvalidEnv, "%s has been allocated to %s, duplicate allocation is not allowed: CNI_CONTAINERID %s with CNI_IFNAME %s needs a DEL first",
				addr, s.owner.ContainerID, s.owner.ContainerID, s.owner.IfName)
		}
	}
	if wanted.IsValid() {
		return pickWanted(set, wanted, s.used)
	}
	for _, candidates := range set.roundFrom(last) {
		addr, ok, err := s.used.firstFree(candidates.first, candidates.last)
		if err != nil {
			return Lease{}, err
		}
		if ok {
			return Lease{Range: candidates.in, Addr: addr}, nil
		}
	}
	return Lease{}, spec.Errorf(spec.Exhausted, "no IP addresses available in range set: %s: remove containers, run GC, or widen the range", set)
}

func pickWanted(set RangeSet, wanted netip.Addr, used occupancy) (Lease, error) {
	r, _ := set.find(wanted) // assign put it here because it is in the set
	if wanted == r.Gateway {
		return Lease{}, spec.Errorf(spec.InvalidConfig, "requested ip %s is subnet's gateway", wanted)
	}
	_, free, err := used.firstFree(wanted, wanted)
	if err != nil {
		return Lease{}, err
	}
	if !free {
		return Lease{}, spec.Errorf(spec.Exhausted, "requested IP address %s is not available in range set %s", wanted, set)
	}
	return Lease{Range: r, Addr: wanted}, nil
}

// A span is a run of candidates inside one range.
type span struct {
	in          Range
	first, last netip.Addr
}

// roundFrom lists the set's addresses, gateways apart, in the order in which
// they are tried: from the one after last to the end, then from the start up
// to last. A last that is not in the set, as after a change of the ranges,
// means from the start.
func (s RangeSet) roundFrom(last netip.Addr) []span {
	at := -1
	for i, r := range s {
		if r.contains(last) {
			at = i
			break
		}
	}
	if at < 0 {
		return s.spans()
	}
	r := s[at]
	var round []span
	if last != r.Last {
		round = append(round, span{r, last.Next(), r.Last}.withoutGateway()...)
	}
	round = append(round, s[at+1:].spans()...)
	round = append(round, s[:at].spans()...)
	return append(round, span{r, r.First, last}.withoutGateway()...)
}

func (s RangeSet) spans() (spans []span) {
	for _, r := range s {
		spans = append(spans, span{r, r.First, r.Last}.withoutGateway()...)
	}
	return spans
}

// withoutGateway cuts the range's gateway out of the span.
func (s span) withoutGateway() (rest []span) {
	gateway := s.in.Gateway
	if gateway.Compare(s.first) < 0 || s.last.Compare(gateway) < 0 {
		return []span{s}
	}
	if s.first != gateway {
		rest = append(rest, span{s.in, s.first, gateway.Prev()})
	}
	if s.last != gateway {
		rest = append(rest, span{s.in, gateway.Next(), s.last})
	}
	return rest
}
