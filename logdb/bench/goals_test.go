package bench

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Every row can be run as it stands: its command lines are understood, and its figures are figures.
func TestRowsAreWellFormed(t *testing.T) {
	names := map[string]bool{}
	for _, quick := range []bool{false, true} {
		for _, r := range Goals(quick) {
			if names[r.Name] && !quick {
				t.Errorf("two rows are named %s", r.Name)
			}
			names[r.Name] = true
			for _, c := range r.Cases {
				if err := understood(c); err != nil {
					t.Errorf("%s: %s: %v", r.Name, c.command(), err)
				}
			}
			for _, name := range slices.Concat(figures(r), r.Show, slices.Concat(r.Charts...)) {
				if Meaning(name) == "" {
					t.Errorf("%s: figure %s has no meaning", r.Name, name)
				}
			}
			for _, figures := range r.Charts {
				if len(r.Cases)*len(figures) < 2 {
					t.Errorf("%s: a chart of one bar", r.Name)
				}
			}
		}
	}
}

func understood(c Case) error {
	i := slices.IndexFunc(Kinds(), func(k Kind) bool { return k.Name == c.Args[0] })
	if i < 0 {
		return errors.New("no such benchmark")
	}
	f := flag.NewFlagSet(c.Args[0], flag.ContinueOnError)
	f.SetOutput(io.Discard)
	if p := (&Place{}); !c.Jet {
		p.Flags(f)
	}
	Kinds()[i].New().Flags(f)
	if err := f.Parse(c.Args[1:]); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return errors.New("more than flags")
	}
	return nil
}

// A goal is met at its limit, and missed beyond it; a figure that is missing is neither.
func TestGoalsAreCompared(t *testing.T) {
	cases := []Metrics{{"a": 10, "b": 4}, {"a": 20}}
	for _, c := range []struct {
		goal Goal
		text string
		want string
	}{
		{atLeast("a", 10), "a >= 10", "met"},
		{atLeast("a", 20), "a >= 20", "missed: 0.50 of the limit"},
		{atMost("a", 10), "a <= 10", "met"},
		{atMost("a", 0), "a <= 0", "missed"},
		{Goal{Figure: "a", AtMost: true, Times: 2, Of: "b", Plus: 2}, "a <= 2 x b + 2", "met"},
		{Goal{Figure: "a", AtMost: true, Times: 2, Of: "b"}, "a <= 2 x b", "missed: 1.25 of the limit"},
		{Goal{Figure: "a", AtMost: true, Times: 0.5, Of: "a", Case: 1}, "a <= 0.5 x a of the baseline", "met"},
		{atMost("c", 1), "c <= 1", "not measured"},
		{Goal{Figure: "a", Times: 1, Of: "a", Case: 2}, "a >= 1 x a of the baseline", "not measured"},
	} {
		if got := c.goal.verdict(cases); got != c.want || c.goal.String() != c.text {
			t.Errorf("%q is %q, want %q is %q", c.goal, got, c.text, c.want)
		}
	}
}

// recorded is three runs of a row with two cases, the second of which ran twice.
func recorded(row Row) *Recorded {
	result := func(v float64) *Result {
		m := Metrics{}
		for _, name := range append(figures(row), row.Show...) {
			m[name] = v
		}
		m["stolen_cpu_share"] = 0.5
		return &Result{Benchmark: "ingest", Target: "library", Metrics: m, Digest: "0123456789abcdef", Started: time.Unix(0, 0).UTC()}
	}
	r := &Recorded{Row: row.Name, Runs: [][]*Result{{result(3), result(7)}, {result(1), nil}, {result(1000), result(9)}}}
	r.Runs[0][0].Environment.Revision = "00112233445566778899"
	r.Runs[0][1].Environment.Revision = "00112233445566778899"
	r.Runs[1][0].Started = time.Unix(0, 0).UTC().AddDate(0, 0, 2)
	r.Runs[2][0].Environment.Revision, r.Runs[2][0].Environment.Modified = "aabb", true
	return r
}

// The page has medians and spreads of what was recorded, the command that repeats it, and a chart that is XML.
func TestReport(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "results")
	if err := os.MkdirAll(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	page := filepath.Join(dir, "..", "BENCHMARKS.md")
	if err := Report(dir, page); err == nil {
		t.Error("a report of no results was made")
	}
	row := Goals(false)[0]
	if err := recorded(row).write(filepath.Join(dir, row.Name+".json")); err != nil {
		t.Fatal(err)
	}
	if err := Report(dir, page); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| records_per_second | 3 (1 to 1,000) | 8 (7 to 9) |", "logdb bench goals --row ingest-10", "3 runs of commit 001122334455 and aabb with changes that were not committed, configuration 0123456789abcdef",
		", from 1970-01-01 to 1970-01-03.", "| stolen_cpu_share | 0.5 (0.5 to 0.5) | 0.5 (0.5 to 0.5) |", "missed: 0.00 of the limit", "](results/ingest-10.svg)", "](results/ingest-10-2.svg)", "](results/goals.svg)", "jetbench ingest",
		"| [ingest-10](#ingest-at-applied-256-b-x-100-10-keys-files-sealed-after-the-window) | records_per_second >= 600,000 | 600,000 | 3 | missed: 0.00 of the limit |",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the page lacks %q:\n%s", want, text)
		}
	}
	svg, err := os.ReadFile(filepath.Join(dir, "ingest-10.svg"))
	if err != nil {
		t.Fatal(err)
	}
	for d := xml.NewDecoder(bytes.NewReader(svg)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("the chart: %v", err)
		}
	}
}

// Runs go on where they were; results of the other size are not mixed in, and a row that does not exist is a mistake.
func TestRunsGoOn(t *testing.T) {
	o := GoalOptions{Runs: 3, Results: t.TempDir(), Rows: []string{"ingest-10"}, Say: func(string) {}, Program: filepath.Join(t.TempDir(), "absent")}
	row := Goals(false)[0]
	if err := recorded(row).write(filepath.Join(o.Results, row.Name+".json")); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := RunGoals(t.Context(), &out, o); err != nil || !strings.Contains(out.String(), "medians of 3") {
		t.Fatalf("three runs are there: %v, %s", err, &out)
	}
	o.Runs = 4
	if err := RunGoals(t.Context(), &out, o); err == nil {
		t.Error("a program that is absent ran")
	}
	o.Quick = true
	if err := RunGoals(t.Context(), &out, o); err == nil || !strings.Contains(err.Error(), "other size") {
		t.Errorf("error is %v, want one of sizes", err)
	}
	o.Rows = []string{"fastest"}
	if err := RunGoals(t.Context(), &out, o); err == nil || !strings.Contains(err.Error(), `no row "fastest"`) {
		t.Errorf("error is %v, want that there is no such row", err)
	}
}

// Bars that differ by more than a reader could see are drawn by their orders of magnitude; a zero stays at the left.
func TestScale(t *testing.T) {
	at := func(v float64) spread { return spread{v, v, v} }
	for _, c := range []struct {
		values []float64
		how    string
		want   []float64 // shares of the width
	}{
		{[]float64{0, 5, 10}, "", []float64{0, 0.5, 1}},
		{[]float64{0, 0.5, 1, 1000}, "; logarithmic, from 0.1", []float64{0, 0.1747, 0.25, 1}},
	} {
		ch := &chart{}
		for _, v := range c.values {
			ch.bars = append(ch.bars, bar{value: at(v)})
		}
		x, how := ch.scale()
		if how != c.how {
			t.Errorf("%v: scale is %q, want %q", c.values, how, c.how)
		}
		for i, v := range c.values {
			if got := (x(v) - chartLeft) / (chartWidth - chartLeft - chartRight); math.Abs(got-c.want[i]) > 1e-3 {
				t.Errorf("%v: %v lies at %v, want %v", c.values, v, got, c.want[i])
			}
		}
	}
}

// Two versions are compared with benchstat: a line for each run of each case that ran, its figures behind it.
func TestLines(t *testing.T) {
	var out bytes.Buffer
	r := recorded(Goals(false)[0])
	for _, run := range r.Runs {
		for _, result := range run {
			if result != nil {
				result.Metrics = Metrics{"records_per_second": result.Metrics["records_per_second"], "cpu_seconds_per_gb": 0.5}
			}
		}
	}
	if err := r.writeLines(&out); err != nil {
		t.Fatal(err)
	}
	want := "BenchmarkIngest10/LogDb 1 0.5 cpu_seconds_per_gb 3 records_per_second\n" +
		"BenchmarkIngest10/JetStream 1 0.5 cpu_seconds_per_gb 7 records_per_second\n"
	if got := out.String(); !strings.HasPrefix(got, want) || strings.Count(got, "\n") != 5 {
		t.Errorf("lines are\n%swant five that begin with\n%s", got, want)
	}
	for name, want := range map[string]string{"1,000,000 keys": "1000000Keys", "followers-writer": "FollowersWriter", "": ""} {
		if got := lineName(name); got != want {
			t.Errorf("%q is %q in a line, want %q", name, got, want)
		}
	}
}

// What a host takes away is told as a share of what was asked for, not of what there is.
func TestStolenShare(t *testing.T) {
	before := parseProcessors("cpu  92841 7 13595 188476 3034 10 2177 25871 500 0")
	after := parseProcessors("cpu  92901 7 13605 188900 3134 20 2187 25881 500 0")
	if got := after.stolenSince(before); got != 0.1 {
		t.Errorf("stolen: got %v, want 0.1: 10 of 60 + 10 + 10 + 10 + 10", got)
	}
	if got := after.stolenSince(after); got != 0 {
		t.Errorf("stolen while nothing ran: got %v, want 0", got)
	}
	if got := parseProcessors("cpu 1 2 3"); got != (processors{}) {
		t.Errorf("a line of another system: got %v, want nothing", got)
	}
}
