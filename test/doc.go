// Package test holds what crosses packages and therefore belongs to none:
//
//   - source_test.go, architecture_test.go, budget_test.go and docs_test.go read
//     the source as data: who may import whom, how long a function may be, and
//     whether what the documents name still exists. They need nothing.
//   - the *_test.go files with the build tag e2e start the real daemon beside a
//     real Docker engine and talk CRI to it as a kubelet would. Read e2e_test.go
//     first: it builds the machine that the others use.
//
// Tests of one package stay beside its code; see docs/contributing.md for the levels.
package test
