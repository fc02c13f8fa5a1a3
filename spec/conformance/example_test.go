package conformance_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/mascri/mascri/spec/conformance"
)

// A plugin's own tests: each row is a subtest, so that go test -run
// 'Conformance/bridge/del-repeated' repeats one.
func ExampleTest() {
	_ = func(t *testing.T) { // func TestConformance(t *testing.T)
		conformance.Test(t, conformance.Target{
			BinDir:  "bin",
			Conf:    "testdata/mynet.conflist",
			Require: conformance.Should,
		})
	}
}

// A program of one's own that runs some rows and looks at what came out.
func ExampleRun() {
	_ = func(ctx context.Context) error {
		report, err := conformance.Run(ctx, conformance.Target{BinDir: "bin", Conf: "mynet.conflist", Only: "del-*"}, nil)
		if err != nil {
			return err // not root, no such plugin, …: nothing about the plugin yet
		}
		for _, o := range report.Plugins[0].Outcomes {
			if o.Violates(conformance.Must) {
				fmt.Println(o.Explanation())
			}
		}
		return nil
	}
}

// The specification as a list, without running anything.
func ExampleRows() {
	versions, err := conformance.Select(conformance.Rows(), "version-*")
	if err != nil {
		panic(err)
	}
	for _, row := range versions {
		fmt.Println(row.ID, row.Level, "in section", row.Section)
	}
	// Output:
	// version-result SHOULD in section 2 VERSION
	// version-keys MUST in section 5 VERSION Success
	// version-echo MUST in section 5 VERSION Success
}
