package test

import (
	"fmt"
	"go/ast"
	"go/token"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// shapeless package names say nothing of what is inside, so anything ends there.
var shapeless = []string{"util", "utils", "helper", "helpers", "common", "core", "misc", "types"}

// Phrases that have no place in the source: a note to do something later is an
// issue, and an error wrapped as "failed to …" says less than the name of the
// operation. (The plugins' answers, spec.Errorf, may say it where the reference
// plugin does and people search for the words.)
var (
	unfinished = regexp.MustCompile(`\b(TODO|FIXME|XXX)\b`)
	failedTo   = regexp.MustCompile(`(?i)^"failed to .*%[wv]`)
)

// unwelcome lists what a reviewer would otherwise have to say by hand.
func unwelcome(s source) (complaints []string) {
	complain := func(p token.Pos, format string, args ...any) {
		complaints = append(complaints, fmt.Sprintf("%s:%d: ", s.path, s.line(p))+fmt.Sprintf(format, args...))
	}
	if slices.Contains(shapeless, path.Base(s.dir())) {
		complain(s.file.Package, "a package called %s names no subject", path.Base(s.dir()))
	}
	for _, group := range s.file.Comments {
		if word := unfinished.FindString(group.Text()); word != "" {
			complain(group.Pos(), "%s: finish it or open an issue", word)
		}
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || s.isTest() || !isErrorf(call) {
			return true
		}
		if literal, ok := call.Args[0].(*ast.BasicLit); ok && failedTo.MatchString(literal.Value) {
			complain(literal.Pos(), "say the operation and its object (\"add veth %%s: %%w\"), not that it failed")
		}
		return true
	})
	return complaints
}

// isErrorf says whether a call is fmt.Errorf.
func isErrorf(call *ast.CallExpr) bool {
	selector, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || selector.Sel.Name != "Errorf" {
		return false
	}
	from, ok := selector.X.(*ast.Ident)
	return ok && from.Name == "fmt"
}

// undocumented lists the exported declarations of a file that bear no comment,
// and the exported functions that take a bool: at the call it would read as a
// bare true, where a named field says what is meant.
func undocumented(s source) (complaints []string) {
	complain := func(p token.Pos, format string, args ...any) {
		complaints = append(complaints, fmt.Sprintf("%s:%d: ", s.path, s.line(p))+fmt.Sprintf(format, args...))
	}
	for _, decl := range s.file.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if !d.Name.IsExported() || d.Recv != nil && !receiverExported(d.Recv) {
				continue
			}
			if d.Doc == nil && d.Recv == nil {
				complain(d.Pos(), "%s is exported and has no comment", d.Name)
			}
			for _, parameter := range d.Type.Params.List {
				if ident, ok := parameter.Type.(*ast.Ident); ok && ident.Name == "bool" {
					complain(d.Pos(), "%s takes a bool: let a named field or a second function say what it means", d.Name)
				}
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				if t, ok := spec.(*ast.TypeSpec); ok && t.Name.IsExported() && d.Doc == nil && t.Doc == nil {
					complain(t.Pos(), "%s is exported and has no comment", t.Name)
				}
			}
		}
	}
	return complaints
}

// receiverExported says whether a method belongs to an exported type.
func receiverExported(receiver *ast.FieldList) bool {
	t := receiver.List[0].Type
	if star, ok := t.(*ast.StarExpr); ok {
		t = star.X
	}
	ident, ok := t.(*ast.Ident)
	return ok && ident.IsExported()
}

// TestHabits holds the project to what docs/contributing.md asks of a change.
func TestHabits(t *testing.T) {
	documented := map[string]bool{}
	for _, s := range readSources(t) {
		report(t, unwelcome(s))
		if s.isTest() {
			continue
		}
		report(t, undocumented(s))
		documented[s.dir()] = documented[s.dir()] || s.file.Doc != nil
	}
	for dir, has := range documented {
		if !has {
			t.Errorf("package %s has no package comment: say where the reader is and what to read next", dir)
		}
	}
}

// TestHabitsCatch shows each habit a file without it.
func TestHabitsCatch(t *testing.T) {
	cases := map[string]string{
		"TODO: finish it":    "package a\n// TO" + "DO later\nvar a int\n",
		"not that it failed": "package a\nimport \"fmt\"\nvar a = fmt.Errorf(\"failed to open: %w\", nil)\n",
		"has no comment":     "package a\nfunc Open() {}\n",
		"takes a bool":       "package a\n// Open opens.\nfunc Open(dry bool) {}\n",
	}
	for want, text := range cases {
		s := parse(t, "a/b.go", text)
		got := append(unwelcome(s), undocumented(s)...)
		if len(got) != 1 || !strings.Contains(got[0], want) {
			t.Errorf("want one complaint with %q, got %q", want, got)
		}
	}
	if s := parse(t, "a/utils/b.go", "package utils\n"); len(unwelcome(s)) != 1 {
		t.Error("a package called utils passes")
	}
}
