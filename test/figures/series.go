package figures

import (
	"fmt"
	"slices"
	"time"
)

// Series are the durations of one side of a comparison.
type Series []time.Duration

// P50 is the median.
func (s Series) P50() time.Duration {
	if len(s) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(s))[len(s)/2]
}

// Quotient compares medians.
func Quotient(a, b Series) float64 { return float64(a.P50()) / float64(b.P50()) }

// Ratio is the quotient for a table.
func Ratio(a, b Series) string { return fmt.Sprintf("%.2f", Quotient(a, b)) }
