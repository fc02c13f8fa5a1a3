package spec

import (
	"io"

	current "github.com/containernetworking/cni/pkg/types/100"
)

// printResult prints a Success (section 5) in the version that the config
// asked for.
func printResult(w io.Writer, version string, result *current.Result) error {
	if result.CNIVersion == "" {
		result.CNIVersion = current.ImplementedSpecVersion
	}
	converted, err := result.GetAsVersion(version)
	if err != nil {
		return Errorf(IncompatibleVersion, "express the result in cniVersion %s: %w", version, err)
	}
	if err := converted.PrintTo(w); err != nil {
		return Errorf(IO, "print the result: %w", err)
	}
	return nil
}
