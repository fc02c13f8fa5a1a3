// Package bench measures the plugins beside their peers: the reference plugins
// and the kernel itself. Both sides of a comparison take turns in one run, so
// that a noisy machine is noisy for both, and what counts is the ratio of the
// medians. What needs a daemon and an engine is measured by test/bench_*_test.go.
//
//	make bench        runs everything and writes docs/measurements.md
//
// The tests are behind the build tag bench, need root, and make their own
// network namespaces.
package bench
