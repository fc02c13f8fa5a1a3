package conformance

import (
	"testing"
)

// Test runs the suite with a subtest for each plugin of the configuration and
// one for each row in it. A violated requirement from [Target.Require] upwards
// fails its subtest, with the evidence; a weaker one is logged. A row that does
// not apply is skipped with its reason.
//
// The test needs root or a user namespace (unshare -Urnm go test ./...), and
// fails without: a skipped conformance test looks like a passed one.
func Test(t *testing.T, target Target) {
	t.Helper()
	target, units, rows, err := target.prepare()
	if err != nil {
		t.Fatalf("conformance: %v", err)
	}
	for _, u := range units {
		t.Run(u.Type, func(t *testing.T) {
			for _, row := range rows {
				t.Run(row.ID, func(t *testing.T) { testRow(t, target, u, row) })
			}
		})
	}
}

func testRow(t *testing.T, target Target, u unit, row Row) {
	t.Helper()
	o, err := runRow(t.Context(), target, u, row)
	switch {
	case err != nil:
		t.Fatalf("conformance: %v", err)
	case o.Violates(target.required()):
		t.Error(o.Explanation())
	case o.Status == NotApplicable:
		t.Skip(o.Reason)
	case o.Status != Pass:
		t.Log(o.Explanation())
	}
}
