package logdb

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FAULTS.md says what can go wrong, what the log does then, which test shows
// it, and how that test was seen to fail. It is made from the rows below, and
// this test holds it, and them, against the repository:
//
//	go test ./logdb -run TestFaultTable -rewrite
//
// makes it anew.

// faultRow is a row of the page.
type faultRow struct {
	name, does string
	// tests are functions, "pkg.TestX" where not of this package, with the
	// schedule or script where one is meant.
	tests []string
	// seen says what was taken away so that a test failed: "mutant: " and
	// "linear: " are of TestMutants and TestLinearMutants, "edit: " of TestEdits.
	seen []string
}

// packages are the directories of tests that the page names.
var packages = map[string]string{
	"": ".", "wal": "../wal", "segment": "../segment", "objstore": "../objstore", "objstoretest": "../objstore/objstoretest",
	"server": "server", "doctor": "doctor", "cmd": "../cmd/logdb", "inspect": "internal/inspect", "memtable": "internal/memtable",
	"compact": "internal/compact",
}

// rewriting reports whether files are to be made anew: the flag belongs to
// package datadriven.
func rewriting() bool {
	f := flag.Lookup("rewrite")
	return f != nil && f.Value.String() == "true"
}

func TestFaultTable(t *testing.T) {
	tests := testsInSource(t)
	for _, f := range append(append([]faultRow(nil), faultRows...), holeRows...) {
		if len(f.tests) == 0 || len(f.seen) == 0 {
			t.Errorf("%s: %d tests, %d ways in which one was seen to fail", f.name, len(f.tests), len(f.seen))
		}
		for _, name := range f.tests {
			if err := knownTest(tests, name); err != nil {
				t.Errorf("%s: %v", f.name, err)
			}
		}
		for _, how := range f.seen {
			if err := knownWay(how); err != nil {
				t.Errorf("%s: %v", f.name, err)
			}
		}
	}
	used := map[string]bool{}
	for _, f := range append(append([]faultRow(nil), faultRows...), holeRows...) {
		for _, how := range f.seen {
			used[how] = true
		}
	}
	for _, e := range sourceEdits {
		if !used["edit: "+e.name] {
			t.Errorf("no row names the edit %q", e.name)
		}
		if err := e.applies(); err != nil {
			t.Error(err)
		}
		for _, name := range e.tests() {
			if err := knownTest(tests, name); err != nil {
				t.Errorf("edit %q: %v", e.name, err)
			}
		}
	}
	page := faultPage()
	if rewriting() {
		if err := os.WriteFile("FAULTS.md", []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile("FAULTS.md"); err != nil || string(got) != page {
		t.Errorf("FAULTS.md is not what the rows say (%v): go test ./logdb -run TestFaultTable -rewrite", err)
	}
}

// testsInSource returns the test functions of each directory.
func testsInSource(t *testing.T) map[string]map[string]bool {
	t.Helper()
	out := map[string]map[string]bool{}
	for _, dir := range packages {
		files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s has no tests: %v", dir, err)
		}
		out[dir] = map[string]bool{}
		for _, file := range files {
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range parsed.Decls {
				if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil {
					out[dir][f.Name.Name] = true
				}
			}
		}
	}
	return out
}

// knownTest is nil if there is a test of that name and, for a schedule or a
// script, that part of it.
func knownTest(tests map[string]map[string]bool, name string) error {
	pkg, function, ok := strings.Cut(name, ".")
	if !ok || strings.Contains(pkg, "/") {
		pkg, function = "", name
	}
	dir, ok := packages[pkg]
	function, part, parted := strings.Cut(function, "/")
	if !ok || !tests[dir][function] {
		return fmt.Errorf("no test %q", name)
	}
	switch {
	case !parted:
	case function == "TestSchedules":
		if schedules[part] == nil {
			return fmt.Errorf("no schedule %q", part)
		}
	case function == "TestScripts":
		if _, err := os.Stat(filepath.Join(dir, "testdata/script", part)); err != nil {
			return fmt.Errorf("no script: %w", err)
		}
	default:
		return fmt.Errorf("%q: only schedules and scripts are named", name)
	}
	return nil
}

// knownWay is nil if there is a mutant, or an edit, of that name.
func knownWay(how string) error {
	kind, name, _ := strings.Cut(how, ": ")
	switch kind {
	case "mutant":
		for _, m := range mutants {
			if m.String() == name && m.masked == "" {
				return nil
			}
		}
	case "linear":
		for _, m := range linMutantList {
			if m.String() == name {
				return nil
			}
		}
	case "edit":
		for _, e := range sourceEdits {
			if e.name == name {
				return nil
			}
		}
	}
	return fmt.Errorf("no %q", how)
}

// faultPage is FAULTS.md as the rows have it.
func faultPage() string {
	var b strings.Builder
	b.WriteString(faultIntro)
	rows := func(title string, list []faultRow, numbered bool) {
		fmt.Fprintf(&b, "\n## %s\n\n| | fault | what the log does | shown by | seen to fail |\n|---|---|---|---|---|\n", title)
		for i, f := range list {
			number := ""
			if numbered {
				number = fmt.Sprint(i + 1)
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", number, f.name, f.does, cells(f.tests), cells(f.seen))
		}
	}
	rows("What goes wrong outside", faultRows, true)
	rows("What goes wrong in the protocol", holeRows, false)
	b.WriteString("\n## Edits\n\n| edit | file | fails |\n|---|---|---|\n")
	for _, e := range sourceEdits {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", e.name, e.file, cells(e.tests()))
	}
	b.WriteString(faultEnd)
	return b.String()
}

func cells(items []string) string {
	return strings.Join(items, ", <br>")
}
