//go:build unix

package logdb

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

// stepsInSource returns the names of the steps that the log passes, from its
// source: a crash at each of them is looked at.
func stepsInSource(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	at := regexp.MustCompile(`hooks\.at\(("[^"]*")?`)
	var steps []string
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") || file == "hooks.go" {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range at.FindAllStringSubmatch(string(text), -1) {
			name := strings.Trim(found[1], `"`)
			if name == "" {
				t.Errorf("%s: a step whose name is not in the source", file)
			}
			if slices.Contains(steps, name) {
				t.Errorf("%s: a second step is named %q", file, name)
			}
			if name != "flush: half in the view" { // passed only by a log without a defence
				steps = append(steps, name)
			}
		}
	}
	slices.Sort(steps)
	return steps
}

// A process is killed at every step that the log names; none is forgotten, and
// none has gone.
func TestNoStepIsForgotten(t *testing.T) {
	steps := stepsInSource(t)
	var killed []string
	for _, step := range killSteps {
		name, _, _ := strings.Cut(step, "#")
		killed = append(killed, name)
	}
	for _, step := range steps {
		if !slices.Contains(killed, step) {
			t.Errorf("no process is killed at %q", step)
		}
	}
	for _, name := range killed {
		if !slices.Contains(steps, name) {
			t.Errorf("the log has no step %q", name)
		}
	}
}

// The story whose every crash is opened comes to every step, too: there the
// power goes with the process.
func TestStoryComesToEveryStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, r := tellStory(t, nil)
		reached := map[string]bool{}
		for _, m := range r.moments {
			reached[strings.TrimPrefix(m.what, "at ")] = true
		}
		for _, step := range stepsInSource(t) {
			if !reached[step] {
				t.Errorf("the story does not come to %q", step)
			}
		}
	})
}
