package main

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
)

// A doctor's report is for people, or for programs, and its exit status for both.
func TestDoctor(t *testing.T) {
	t.Chdir(t.TempDir())
	text := transcript(t, []string{"logdb", "doctor", "file:bucket", "--rounds", "2"}, "")
	for _, want := range []string{"ok       race to create", "unknown  checksum", "puts = month/250ms ship", "a month always busy: 10454400 PUT", "A log is safe here"} {
		if !strings.Contains(text, want) {
			t.Errorf("got\n%s\nwant %q", text, want)
		}
	}
	if strings.Contains(text, "exit") {
		t.Errorf("got\n%s\nwant exit 0", text)
	}
	names, err := os.ReadDir("bucket")
	must(t, err)
	if slices.ContainsFunc(names, func(e os.DirEntry) bool { return strings.HasPrefix(e.Name(), "probe-") }) {
		t.Errorf("left behind: %v", names)
	}
	must(t, os.WriteFile("bucket/notes.txt", []byte("x"), 0o644))
	out := transcript(t, []string{"logdb", "doctor", "file:bucket", "--rounds", "2", "-o", "json"}, "")
	if !strings.HasSuffix(out, "! logdb: unsafe\nexit 1\n") {
		t.Errorf("got\n%s\nwant unsafe, exit 1", out)
	}
	verdicts := map[string]string{}
	var end prognosisLine
	for line := range strings.Lines(out) {
		if !strings.HasPrefix(line, "{") {
			continue
		}
		var d diagnosisLine
		must(t, json.Unmarshal([]byte(line), &d))
		verdicts[d.Check] = d.Verdict
		must(t, json.Unmarshal([]byte(line), &end))
	}
	if verdicts["prefix"] != "unsafe" || verdicts["if-match"] != "ok" || end.Safe || end.Verdict != "unsafe" || end.Requests["put"] == 0 {
		t.Errorf("got %v and %+v", verdicts, end)
	}
	if out := transcript(t, []string{"logdb", "doctor", "mem:", "--rounds", "0"}, ""); !strings.HasSuffix(out, "exit 2\n") {
		t.Errorf("got\n%s\nwant exit 2", out)
	}
}
