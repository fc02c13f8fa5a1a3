//go:build bench

package bench

import (
	"flag"
	"fmt"
	"testing"

	"github.com/mascri/mascri/test/figures"
)

var output = flag.String("o", "", "write the tables into this file, between the markers of each")

// runs is how often each operation of a comparison is measured.
var runs = flag.Int("n", 200, "operations to measure on each side")

// targets are what the plugins aim at, with what the tests before measured.
var targets = figures.Table{Name: "targets", Header: []string{"what", "at most", "measured", ""}}

// aimAt records a figure and what it should not exceed. To miss an aim is no
// failure of the measurement: the table says so.
func aimAt(what string, measured, most float64) {
	verdict := "met"
	if measured > most {
		verdict = fmt.Sprintf("missed by %.0f %%", 100*(measured/most-1))
	}
	targets.Add(what, fmt.Sprint(most), fmt.Sprintf("%.2f", measured), verdict)
}

// TestTargets shows the table. It is the last test, in the order of the files;
// after a selection of tests the table would lack rows, and the page keeps its own.
func TestTargets(t *testing.T) {
	page := *output
	if flag.Lookup("test.run").Value.String() != "" {
		page = ""
	}
	targets.Write(t, page)
}
