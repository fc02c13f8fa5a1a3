package test

import (
	"fmt"
	"go/ast"
	"go/scanner"
	"go/token"
	"slices"
	"strings"
	"testing"
)

// The budgets, taken from Go codebases that are a pleasure to read: they all
// keep their median function near ten lines and nearly all functions under fifty.
const (
	maxFileLines     = 400
	maxFunctionLines = 60
	maxP90Lines      = 45
	maxMedianLines   = 15

	// One comment line for three or four of code is the aim (.25 to .40). The
	// lower bound is where the project stands, so that it cannot sink; raise it
	// as the code is explained better. The upper one catches talk over the code.
	minCommentRatio = .165
	maxCommentRatio = .50
)

// A function is a declaration with its length in lines, from func to brace.
type function struct {
	name  string // "cri/server.go:Serve"
	lines int
}

// functions measures the functions of a file. In tests the lines of a table (a
// composite literal) do not count: a long table of cases is a good table.
func functions(s source) (found []function) {
	for _, decl := range s.file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok || f.Body == nil {
			continue
		}
		lines := s.line(f.End()) - s.line(f.Pos()) + 1
		if s.isTest() {
			lines -= tableLines(s, f.Body)
		}
		found = append(found, function{name: s.path + ":" + f.Name.Name, lines: lines})
	}
	return found
}

// tableLines counts the lines between the braces of the outermost composite
// literals in a function.
func tableLines(s source, body *ast.BlockStmt) (lines int) {
	ast.Inspect(body, func(n ast.Node) bool {
		table, ok := n.(*ast.CompositeLit)
		if !ok {
			return true
		}
		lines += s.line(table.Rbrace) - s.line(table.Lbrace)
		return false
	})
	return lines
}

// overlong lists the files and functions over budget.
func overlong(sources []source) (complaints []string) {
	for _, s := range sources {
		if s.lines() > maxFileLines {
			complaints = append(complaints, fmt.Sprintf("%s has %d lines, over %d: it holds two subjects; split it", s.path, s.lines(), maxFileLines))
		}
		for _, f := range functions(s) {
			if f.lines > maxFunctionLines {
				complaints = append(complaints, fmt.Sprintf("%s has %d lines, over %d: name its parts", f.name, f.lines, maxFunctionLines))
			}
		}
	}
	return complaints
}

// TestBudgets keeps files and functions short, and says where the project stands.
func TestBudgets(t *testing.T) {
	sources := slices.DeleteFunc(readSources(t), source.isTest)
	report(t, overlong(readSources(t)))

	var lengths []int
	for _, s := range sources {
		for _, f := range functions(s) {
			lengths = append(lengths, f.lines)
		}
	}
	slices.Sort(lengths)
	median, p90 := lengths[len(lengths)/2], lengths[len(lengths)*9/10]
	t.Logf("%d functions in %d files: median %d lines, p90 %d, longest %d", len(lengths), len(sources), median, p90, lengths[len(lengths)-1])
	if median > maxMedianLines {
		t.Errorf("the median function has %d lines, over %d", median, maxMedianLines)
	}
	if p90 > maxP90Lines {
		t.Errorf("one function in ten is longer than %d lines (p90 is %d)", maxP90Lines, p90)
	}
}

// TestBudgetsCatch shows the budgets a file and a function that burst them.
func TestBudgetsCatch(t *testing.T) {
	body := strings.Repeat("\tprintln()\n", maxFunctionLines)
	long := parse(t, "a/long.go", "package a\nfunc f() {\n"+body+"}\n")
	if len(overlong([]source{long})) != 1 {
		t.Errorf("a function of %d lines passes", maxFunctionLines+2)
	}
	high := parse(t, "a/high.go", "package a\n"+strings.Repeat("\n", maxFileLines))
	if len(overlong([]source{high})) != 1 {
		t.Errorf("a file of %d lines passes", maxFileLines+1)
	}
	table := "\t_ = []int{\n" + strings.Repeat("\t1,\n", maxFunctionLines) + "\t}\n"
	test := parse(t, "a/table_test.go", "package a\nfunc f() {\n"+table+"}\n")
	if got := overlong([]source{test}); len(got) != 0 {
		t.Errorf("a table in a test counts: %v", got)
	}
}

// commentLines counts the lines that bear a comment and those that bear code;
// a line with both counts for both. Build constraints count as code.
func commentLines(s source) (comment, code int) {
	commented, coded := map[int]bool{}, map[int]bool{}
	var scan scanner.Scanner
	fset := token.NewFileSet()
	file := fset.AddFile(s.path, -1, len(s.text))
	scan.Init(file, []byte(s.text), nil, scanner.ScanComments)
	for {
		pos, tok, literal := scan.Scan()
		if tok == token.EOF {
			return len(commented), len(coded)
		}
		if tok == token.SEMICOLON && literal == "\n" {
			continue // inserted by the scanner, not written by anybody
		}
		lines := coded
		if tok == token.COMMENT && !strings.HasPrefix(literal, "//go:") {
			lines = commented
		}
		for i := range strings.Count(literal, "\n") + 1 {
			lines[file.Line(pos)+i] = true
		}
	}
}

// TestCommentRatio reports how much the project explains itself, and fails only
// where it no longer does.
func TestCommentRatio(t *testing.T) {
	comment, code := 0, 0
	for _, s := range readSources(t) {
		if s.isTest() {
			continue
		}
		c, n := commentLines(s)
		comment, code = comment+c, code+n
	}
	ratio := float64(comment) / float64(code)
	t.Logf("%d comment lines to %d of code: %.2f (aim .25 to .40)", comment, code, ratio)
	if ratio < minCommentRatio || ratio > maxCommentRatio {
		t.Errorf("%.2f comment lines to a line of code, outside %.2f to %.2f", ratio, minCommentRatio, maxCommentRatio)
	}
}
