package main

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/logdb-go/logdb/logdb/bench"
)

// One command runs rows of the goals, each run in a process of its own, and another makes a page of what they left.
func TestBenchGoalsAndReport(t *testing.T) {
	t.Chdir(t.TempDir())
	goals := []string{"bench", "goals", "--quick", "--runs", "1", "--results", "results", "--scratch", ".", "--row", "scan-cold", "--row", "followers-process", "--row", "writer-open"}
	p := start(t, goals...)
	out, _ := io.ReadAll(p.stdout)
	p.exit()
	if code := p.cmd.ProcessState.ExitCode(); code != exitOK {
		t.Fatalf("exit %d: %s", code, p.stderr.String())
	}
	for _, want := range []string{"scan-cold: ", "met, want cold_scan_gets_max <= 2", "followers-process: ", "writer_open_after_kill_requests, LogDb"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the summary lacks %q:\n%s", want, out)
		}
	}
	report := start(t, "bench", "report", "results")
	report.want(exitOK, "")
	page, err := os.ReadFile("BENCHMARKS.md")
	must(t, err)
	if !strings.Contains(string(page), "These runs were small") || !strings.Contains(string(page), "(results/followers-process.svg)") {
		t.Errorf("the page is:\n%s", page)
	}
	lines := start(t, "bench", "lines", "results/scan-cold.json", "results/writer-open.json")
	printed, _ := io.ReadAll(lines.stdout)
	lines.want(exitOK, "")
	if text := string(printed); strings.Count(text, "\n") != 2 || !strings.HasPrefix(text, "BenchmarkScanCold/LogDb 1 ") {
		t.Errorf("lines for benchstat are:\n%s", text)
	}
	left, err := filepath.Glob("logdb-bench-*")
	must(t, err)
	if len(left) > 0 {
		t.Errorf("runs left %v", left)
	}
}

// A run prints one object, keeps a copy, and leaves nothing in the bucket.
func TestBenchPrintsOneObject(t *testing.T) {
	t.Chdir(t.TempDir())
	p := start(t, "bench", "verify", "--records", "500", "--keys", "10", "--bucket", "file:b", "--results", "kept", "--profiles", "profiles", "--trace", "-o", "json")
	out, _ := io.ReadAll(p.stdout)
	p.want(exitOK, "")
	r := bench.Result{}
	must(t, json.Unmarshal(out, &r))
	if r.Benchmark != "verify" || r.Bucket != "file" || r.Metrics["read_records"] != 500 {
		t.Errorf("result is %+v", r)
	}
	must(t, os.WriteFile("runs.json", append(out, out...), 0o666))
	lines := start(t, "bench", "lines", "runs.json")
	printed, _ := io.ReadAll(lines.stdout)
	lines.want(exitOK, "")
	if text := string(printed); strings.Count(text, "\n") != 2 || !strings.Contains(text, "\nBenchmarkVerify 1 ") {
		t.Errorf("lines for benchstat are:\n%s", text)
	}
	kept, err := filepath.Glob("kept/verify-*.json")
	must(t, err)
	if len(kept) != 1 {
		t.Errorf("kept %v, want one result", kept)
	}
	for _, name := range []string{"cpu.pprof", "allocs.pprof", "trace.out"} {
		info, err := os.Stat(filepath.Join("profiles", name))
		must(t, err)
		if info.Size() == 0 {
			t.Errorf("%s is empty", name)
		}
	}
	must(t, filepath.WalkDir("b", func(path string, d os.DirEntry, err error) error {
		if err == nil && strings.Contains(path, "bench-") && !d.IsDir() {
			t.Errorf("%s was left", path)
		}
		return err
	}))
	start(t, "bench", "ingest", "--acks", "soon").want(exitError, "acks")
	start(t, "bench", "ingest", "--cache", "much").want(exitUsage, "size")
}
