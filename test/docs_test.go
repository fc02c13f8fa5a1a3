package test

import (
	"fmt"
	"go/ast"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What the documents may point at, as Markdown writes it.
var (
	symbolReference = regexp.MustCompile("`([a-z][a-z0-9_/.-]*\\.go):([A-Za-z_][A-Za-z0-9_.]*)`")
	fileReference   = regexp.MustCompile("`([a-z][a-z0-9_.-]*/[A-Za-z0-9_/.-]*\\.(?:go|md|json|sh|service|conflist))`")
	relativeLink    = regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)
	makeCommand     = regexp.MustCompile("(?m)(?:`|^)(?:sudo )?make ([a-z][a-z0-9-]*)")
	lineReference   = regexp.MustCompile(`\.go(?::|#L)[0-9]+`)
)

// A document is one Markdown file of the project.
type document struct {
	path string // slash-separated, from the module's root
	text string
}

// A project is what documents may point at.
type project struct {
	exists  func(path string) bool     // a file or directory, from the module's root
	symbols map[string]map[string]bool // by file: what it declares, methods as Type.Method
	targets map[string]bool            // of the Makefile
}

// dangling lists what a document points at and the project does not have.
func (p project) dangling(d document) (complaints []string) {
	complain := func(format string, args ...any) {
		complaints = append(complaints, d.path+": "+fmt.Sprintf(format, args...))
	}
	for _, m := range symbolReference.FindAllStringSubmatch(d.text, -1) {
		if symbols, ok := p.symbols[m[1]]; !ok {
			complain("there is no %s", m[1])
		} else if !symbols[m[2]] {
			complain("%s declares no %s", m[1], m[2])
		}
	}
	for _, m := range fileReference.FindAllStringSubmatch(d.text, -1) {
		if !p.exists(m[1]) {
			complain("there is no %s", m[1])
		}
	}
	for _, m := range relativeLink.FindAllStringSubmatch(d.text, -1) {
		if !p.exists(path.Join(path.Dir(d.path), m[1])) {
			complain("the link to %s leads nowhere", m[1])
		}
	}
	for _, m := range makeCommand.FindAllStringSubmatch(d.text, -1) {
		if !p.targets[m[1]] {
			complain("the Makefile has no target %s", m[1])
		}
	}
	for _, m := range lineReference.FindAllString(d.text, -1) {
		complain("%s: a line number is wrong after the next change; name the symbol", m)
	}
	return complaints
}

// declared lists the top-level names of a file.
func declared(s source) map[string]bool {
	names := map[string]bool{}
	for _, decl := range s.file.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			name := d.Name.Name
			if d.Recv != nil {
				name = receiverName(d.Recv) + "." + name
			}
			names[name] = true
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch v := spec.(type) {
				case *ast.TypeSpec:
					names[v.Name.Name] = true
				case *ast.ValueSpec:
					for _, name := range v.Names {
						names[name.Name] = true
					}
				}
			}
		}
	}
	return names
}

// receiverName is the name of the type a method belongs to.
func receiverName(receiver *ast.FieldList) string {
	t := receiver.List[0].Type
	if star, ok := t.(*ast.StarExpr); ok {
		t = star.X
	}
	if ident, ok := t.(*ast.Ident); ok {
		return ident.Name
	}
	return ""
}

// readProject gathers what exists.
func readProject(t *testing.T) project {
	t.Helper()
	p := project{symbols: map[string]map[string]bool{}, targets: map[string]bool{}}
	p.exists = func(name string) bool {
		_, err := os.Stat(filepath.Join(root, filepath.FromSlash(name)))
		return err == nil
	}
	for _, s := range readSources(t) {
		p.symbols[s.path] = declared(s)
	}
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^([a-z0-9-]+):`).FindAllStringSubmatch(string(makefile), -1) {
		p.targets[m[1]] = true
	}
	return p
}

// readDocuments reads the Markdown at the top level and below docs.
func readDocuments(t *testing.T) (documents []document) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(root, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(filepath.Join(root, "docs"), func(name string, entry fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(name) == ".md" {
			paths = append(paths, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range paths {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		relative, err := filepath.Rel(root, name)
		if err != nil {
			t.Fatal(err)
		}
		documents = append(documents, document{path: filepath.ToSlash(relative), text: string(text)})
	}
	return documents
}

// TestDocumentsPointAtWhatExists follows every pointer of every document. A
// tutorial that names a function which was renamed last week teaches distrust.
func TestDocumentsPointAtWhatExists(t *testing.T) {
	p := readProject(t)
	for _, d := range readDocuments(t) {
		report(t, p.dangling(d))
	}
}

// TestDanglingPointersAreCaught shows the test above one document a kind of error.
func TestDanglingPointersAreCaught(t *testing.T) {
	p := project{
		exists:  func(name string) bool { return name == "docs/a.md" || name == "ipam/doc.go" },
		symbols: map[string]map[string]bool{"ipam/doc.go": {"Lease": true, "Store.Add": true}},
		targets: map[string]bool{"demo": true},
	}
	cases := map[string]string{
		"`ipam/doc.go:Lease` and `ipam/doc.go:Store.Add`, [here](a.md#top), `ipam/doc.go`, `make demo`": "",
		"`ipam/gone.go:Lease`":   "there is no ipam/gone.go",
		"`ipam/doc.go:Gone`":     "ipam/doc.go declares no Gone",
		"`ipam/gone.go`":         "there is no ipam/gone.go",
		"[there](gone.md)":       "the link to gone.md leads nowhere",
		"`make coffee`":          "no target coffee",
		"see ipam/doc.go:12 now": "a line number",
	}
	for text, want := range cases {
		got := p.dangling(document{path: "docs/b.md", text: text})
		if want == "" && len(got) > 0 || want != "" && (len(got) != 1 || !strings.Contains(got[0], want)) {
			t.Errorf("%s: complaints %q, want %q", text, got, want)
		}
	}
}
