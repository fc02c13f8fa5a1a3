package conformance

import (
	"path"
	"slices"
	"strings"
)

// Level is how binding a requirement is, in the words of RFC 2119, which the
// specification adopts: "required" is MUST, and a parameter that is
// "optional" MUST not be demanded.
type Level string

// The levels, strongest first.
const (
	Must   Level = "MUST"
	Should Level = "SHOULD"
	May    Level = "MAY"
)

// Binds tells whether a violation of a requirement of level l is a failure
// where everything from required upwards is demanded.
func (l Level) Binds(required Level) bool {
	order := []Level{Must, Should, May}
	return slices.Index(order, l) <= slices.Index(order, required)
}

// Kind is what a plugin is for. It decides which requirements apply.
type Kind string

const (
	// Interface plugins create the container's interface, as bridge, ptp and
	// macvlan do.
	Interface Kind = "interface"
	// IPAM plugins are delegated to: they reserve addresses and touch no
	// interface.
	IPAM Kind = "ipam"
	// Chained plugins get the result of the plugins before them and adjust
	// what those made, as portmap, tuning and firewall do.
	Chained Kind = "chained"
	// Loopback plugins bring up the lo that every namespace has.
	Loopback Kind = "loopback"
)

// Kinds are all kinds.
var Kinds = []Kind{Interface, IPAM, Chained, Loopback}

// Row is one requirement of the specification.
type Row struct {
	// ID names the row for --only and as a subtest; it does not change.
	ID string
	// Section is the number and title in SPEC.md: "2 ADD".
	Section string
	// Level is how binding it is.
	Level Level
	// Requirement is what the specification asks for, in our words.
	Requirement string
	// Why says what goes wrong for a user of a plugin that ignores it.
	Why string
	// Kinds are the plugins it applies to.
	Kinds []Kind

	check func(*probe)
}

// Rows returns every row in the order of the specification. The slice is the
// caller's.
func Rows() []Row {
	return slices.Concat(
		configurationRows,
		parameterRows,
		errorRows,
		fieldRows,
		addRows,
		delRows,
		checkRows,
		damageRows,
		statusRows,
		versionRows,
		gcRows,
		lifecycleRows,
		delegationRows,
		resultRows,
		resultDetailRows,
	)
}

// Select returns the rows whose ID matches one of the comma-separated
// patterns of path.Match ("del-*"); all of them for an empty string.
func Select(rows []Row, patterns string) ([]Row, error) {
	if patterns == "" {
		return rows, nil
	}
	var chosen []Row
	for _, row := range rows {
		for pattern := range strings.SplitSeq(patterns, ",") {
			matches, err := path.Match(strings.TrimSpace(pattern), row.ID)
			if err != nil {
				return nil, err
			}
			if matches {
				chosen = append(chosen, row)
				break
			}
		}
	}
	return chosen, nil
}

var (
	everyKind     = Kinds
	onlyInterface = []Kind{Interface}
	onlyIPAM      = []Kind{IPAM}
	onlyChained   = []Kind{Chained}
	// withLinks have an interface in the container to answer for.
	withLinks = []Kind{Interface, Loopback}
	// withState keep something for an attachment that can leak.
	withState = []Kind{Interface, IPAM, Chained}
)
