package test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// modulePath is the first line of go.mod; every import of our own begins with it.
const modulePath = "github.com/mascri/mascri"

// root is where the module's sources lie, seen from this package's directory,
// which is where go test runs it.
const root = ".."

// A source is one Go file, read and parsed. The rules in architecture_test.go
// and budget_test.go are functions from sources to complaints, so that each of
// them can be shown a file that breaks it.
type source struct {
	path string // slash-separated, from the module's root: "cri/server.go"
	text string
	fset *token.FileSet
	file *ast.File
}

// dir is the package's directory from the module's root: "cri/docker".
func (s source) dir() string { return path.Dir(s.path) }

// isTest says whether only go test compiles the file.
func (s source) isTest() bool { return strings.HasSuffix(s.path, "_test.go") }

// line is the number of the line on which a node begins.
func (s source) line(p token.Pos) int { return s.fset.Position(p).Line }

// lines is the length of the file.
func (s source) lines() int { return strings.Count(s.text, "\n") }

// imports maps each import path of the file to the name that it goes by there.
func (s source) imports() map[string]string {
	names := map[string]string{}
	for _, spec := range s.file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue // the parser let it pass, so the compiler will speak of it
		}
		names[imported] = path.Base(imported)
		if spec.Name != nil {
			names[imported] = spec.Name.Name
		}
	}
	return names
}

// under says whether a package directory is one of the given ones or below one.
func under(dir string, parents ...string) bool {
	for _, parent := range parents {
		if dir == parent || strings.HasPrefix(dir, parent+"/") {
			return true
		}
	}
	return false
}

// parse makes a source out of text; the rules' own tests use it as well.
func parse(t *testing.T, name, text string) source {
	t.Helper()
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatalf("parse %s: %v", name, err)
	}
	return source{path: name, text: text, fset: fset, file: file}
}

// readSources reads every Go file of the module, whatever its build tags.
func readSources(t *testing.T) []source {
	t.Helper()
	var sources []source
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		// A dot directory is Git's or an editor's; testdata holds no code of the build.
		if entry.IsDir() && name != root && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata") {
			return fs.SkipDir
		}
		if entry.IsDir() || filepath.Ext(name) != ".go" {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		sources = append(sources, parse(t, filepath.ToSlash(relative), string(text)))
		return nil
	})
	if err != nil {
		t.Fatalf("read the module's sources: %v", err)
	}
	if len(sources) < 10 {
		t.Fatalf("found only %d Go files under %s: the test looks in the wrong place", len(sources), root)
	}
	return sources
}

// report fails the test once for each complaint.
func report(t *testing.T, complaints []string) {
	t.Helper()
	for _, complaint := range complaints {
		t.Error(complaint)
	}
}
