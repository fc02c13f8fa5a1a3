package test

import (
	"go/ast"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fuzzTargets are the fuzz targets' corpora, as directories from the root.
func fuzzTargets(sources []source) map[string]bool {
	corpora := map[string]bool{}
	for _, s := range sources {
		for _, decl := range s.file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && s.isTest() && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Fuzz") {
				corpora[filepath.Join(s.dir(), "testdata", "fuzz", f.Name.Name)] = true
			}
		}
	}
	return corpora
}

// leastSeeds is how many inputs a corpus has to hold: `make fuzz` runs for
// seconds, and starts from what is committed.
const leastSeeds = 4

// TestCorporaAreKept: every fuzz target has a committed corpus, and every corpus
// still has its target. A finding of the fuzzer lands there by itself.
func TestCorporaAreKept(t *testing.T) {
	targets := fuzzTargets(readSources(t))
	if len(targets) == 0 {
		t.Fatal("no fuzz target is found")
	}
	for corpus := range targets {
		seeds, err := os.ReadDir(filepath.Join(root, corpus))
		if err != nil || len(seeds) < leastSeeds {
			t.Errorf("%s holds %d inputs, want %d (%v): commit some that the parser should survive", corpus, len(seeds), leastSeeds, err)
		}
	}
	var kept []string
	for depth := range 4 {
		found, err := filepath.Glob(filepath.Join(root, strings.Repeat("*/", depth), "testdata", "fuzz", "*"))
		if err != nil {
			t.Fatal(err)
		}
		kept = append(kept, found...)
	}
	if len(kept) < len(targets) {
		t.Errorf("%d corpora are found for %d targets", len(kept), len(targets))
	}
	for _, corpus := range kept {
		if relative, err := filepath.Rel(root, corpus); err != nil || !targets[relative] {
			t.Errorf("%s is the corpus of no target (%v): it was renamed or removed", corpus, err)
		}
	}
}
