// Package bench measures MasCRI beside its peers: the reference plugins, the
// Docker engine, and the kernel itself. Both sides of a comparison take turns
// in one run, so that a noisy machine is noisy for both, and what counts is the
// ratio of the medians.
//
//	make bench        runs everything and writes docs/measurements.md
//
// The tests are behind the build tag bench, need root, and make their own
// network namespaces; the rows about pods need a Docker engine.
package bench
