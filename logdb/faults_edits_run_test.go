package logdb

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var faultsEdits = flag.String("faults.edits", "", "regular expression: take these edits' defences away, and run the tests that must notice")

// sourceEdit takes one defence out of the source, for a test that is to be seen to
// fail. The source itself is not touched: the compiler is given another file in
// its place.
type sourceEdit struct {
	name string // what is not there any more
	file string // below the repository's root
	old  string // occurs once in it
	new  string
	pkg  string // of the tests, as the page names it
	run  []string
}

// tests are the tests that fail, as the page names them.
func (e *sourceEdit) tests() []string {
	var out []string
	for _, run := range e.run {
		if e.pkg != "" {
			run = e.pkg + "." + run
		}
		out = append(out, run)
	}
	return out
}

// apply returns the file without the defence.
func (e *sourceEdit) apply() (string, error) {
	text, err := os.ReadFile(filepath.Join("..", e.file))
	if err != nil {
		return "", err
	}
	if n := strings.Count(string(text), e.old); n != 1 {
		return "", fmt.Errorf("edit %q: %s has %d places like %.60q, want 1", e.name, e.file, n, e.old)
	}
	return strings.Replace(string(text), e.old, e.new, 1), nil
}

func (e *sourceEdit) applies() error {
	_, err := e.apply()
	return err
}

// TestEdits takes one defence after the other out of the source and runs the
// tests that are to notice. All of them:
//
//	go test ./logdb -run TestEdits -faults.edits . -v -timeout 1h
func TestEdits(t *testing.T) {
	if *faultsEdits == "" {
		t.Skip("-faults.edits")
	}
	wanted, err := regexp.Compile(*faultsEdits)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range sourceEdits {
		if !wanted.MatchString(e.name) {
			continue
		}
		t.Run(e.name, func(t *testing.T) {
			overlay := e.overlay(t)
			for _, run := range e.run {
				e.fails(t, overlay, run)
			}
		})
	}
}

// overlay writes the edited file, and what makes the compiler take it.
func (e *sourceEdit) overlay(t *testing.T) string {
	t.Helper()
	text, err := e.apply()
	if err != nil {
		t.Fatal(err)
	}
	original, err := filepath.Abs(filepath.Join("..", e.file))
	if err != nil {
		t.Fatal(err)
	}
	edited := filepath.Join(t.TempDir(), "edited.go")
	if err := os.WriteFile(edited, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {original: edited}})
	if err != nil {
		t.Fatal(err)
	}
	overlay := filepath.Join(t.TempDir(), "overlay.json")
	if err := os.WriteFile(overlay, replace, 0o644); err != nil {
		t.Fatal(err)
	}
	return overlay
}

// fails runs one test without the defence. That the build fails does not count.
func (e *sourceEdit) fails(t *testing.T, overlay, run string) {
	t.Helper()
	function, part, _ := strings.Cut(run, "/")
	pattern := "^" + function + "$"
	if part != "" {
		for p := range strings.SplitSeq(part, "/") {
			pattern += "/^" + regexp.QuoteMeta(strings.ReplaceAll(p, " ", "_")) + "$"
		}
	}
	if function == "TestScripts" { // one subtest, whose name has slashes
		pattern = "^TestScripts$/^" + strings.ReplaceAll(regexp.QuoteMeta(part), "/", "$/^") + "$"
	}
	cmd := exec.Command("go", "test", "-count=1", "-vet=off", "-timeout=150s", "-overlay="+overlay, "-run="+pattern, "./"+filepath.ToSlash(packages[e.pkg]))
	out, err := cmd.CombinedOutput()
	text := string(out)
	failed := strings.Contains(text, "--- FAIL: ") || strings.Contains(text, "\npanic: ") || strings.HasPrefix(text, "panic: ")
	if err == nil || !failed || strings.Contains(text, "[build failed]") || strings.Contains(text, "no tests to run") {
		t.Errorf("%s has not failed: %v\n%s", run, err, text)
		return
	}
	how := text
	for line := range strings.Lines(text) { // the last of them is no seed
		if strings.Contains(line, "_test.go:") || strings.Contains(line, "panic: ") {
			how = strings.TrimSpace(line)
		}
	}
	t.Logf("%s: %.300s", run, how)
}
