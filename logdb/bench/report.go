package bench

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"
)

// Report makes a page of the results of goals in a directory: all goals at a glance, what the requests cost, a table for
// each row, charts beside the results, and the commands that repeat them. Rows without results are left out.
func Report(dir, page string) error {
	p := &report{dir: dir, page: page}
	for _, row := range Goals(false) {
		r, err := readRecorded(filepath.Join(dir, row.Name+".json"))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if len(r.Runs) == 0 || len(r.Runs[0]) == 0 || r.Runs[0][0] == nil {
			continue
		}
		p.rows = append(p.rows, recordedRow{row, r, r.medians(len(row.Cases))})
	}
	if len(p.rows) == 0 {
		return fmt.Errorf("bench: no results of goals in %s", dir)
	}
	p.WriteString(p.head())
	if err := p.overview(); err != nil {
		return err
	}
	p.costs()
	for _, r := range p.rows {
		if err := p.row(r); err != nil {
			return err
		}
	}
	if err := os.WriteFile(page, p.Bytes(), 0o666); err != nil {
		return fmt.Errorf("bench: page: %w", err)
	}
	return nil
}

// report is a page as it is written.
type report struct {
	bytes.Buffer
	dir, page string
	rows      []recordedRow
}

type recordedRow struct {
	Row
	runs    *Recorded
	medians []Metrics
}

const method = `# Benchmarks

This page is made of the raw results beside it by ` + "`logdb bench report`" + `; nothing in it was typed. ` + "`go doc ./logdb/bench`" + ` explains the
method, ` + "`logdb bench goals --list`" + ` lists what runs.

- GB is 1e9 bytes of keys and values. Random values do not compress.
- Latency of open loops counts from when an operation was due.
- Processor time and memory are those of the whole process, with the load generator; what the generator takes alone is beside.
- Figures are medians over the runs, with the least and the most. Baselines ran between the runs, on the same machine.
- stolen_cpu_share tells how quiet a virtual machine was: what its host gives to others shows in every figure of time.
- JetStream is embedded in its generator's process as LogDb is, writes files, and does not fsync.
- Requests are priced as S3 Standard bills them: $0.005 for 1,000 PUT or LIST, $0.0004 for 1,000 GET.

`

// head says how it was measured, when, and on what: the machine of the first run.
func (p *report) head() string {
	e := p.rows[0].runs.Runs[0][0].Environment
	return method + fmt.Sprintf("Measured on %s, %d processors, %.0f GB of memory, %s %s %s, %s, %s.\n\n",
		cmp.Or(e.CPU, "an unknown processor"), e.CPUs, float64(e.MemoryBytes)/1e9, e.OS, e.Arch, e.Kernel, e.Go, p.days())
}

// days are those of the first and the last run.
func (p *report) days() string {
	var all []string
	for _, row := range p.rows {
		for _, run := range row.runs.Runs {
			for _, r := range run {
				if r != nil {
					all = append(all, r.Started.Format(time.DateOnly))
				}
			}
		}
	}
	first, last := slices.Min(all), slices.Max(all)
	if first == last {
		return "on " + first
	}
	return "from " + first + " to " + last
}

// sources says which commits the runs of a row were made of; nothing where they do not know.
func (r *Recorded) sources() string {
	var all []string
	for _, results := range r.Runs {
		for _, result := range results {
			if result == nil || result.Environment.Revision == "" {
				continue
			}
			s := result.Environment.Revision[:min(12, len(result.Environment.Revision))]
			if result.Environment.Modified {
				s += " with changes that were not committed"
			}
			if !slices.Contains(all, s) {
				all = append(all, s)
			}
		}
	}
	if len(all) == 0 {
		return ""
	}
	return " of commit " + strings.Join(all, " and ")
}

// overview has all goals in one table, and how near each is to its limit in one chart.
func (p *report) overview() error {
	p.WriteString("## Goals\n\n| row | goal | limit | measured | |\n|---|---|--:|--:|---|\n")
	near := &chart{title: "How much of what the goals allow was taken", figure: "medians; the line is the limit, and a shorter bar is better", mark: 1}
	for _, r := range p.rows {
		for _, g := range r.Goals {
			fmt.Fprintf(p, "| [%s](#%s) %s\n", r.Name, anchor(r.Title), g.cells(r.medians))
			if share, known := g.allowance(r.medians); known {
				near.bars = append(near.bars, bar{name: r.Name + ": " + short(g.Figure), value: spread{share, share, share}})
			}
		}
	}
	p.WriteString("\n")
	return p.draw("goals", near)
}

// short cuts a figure's name to what fits beside a bar.
func short(figure string) string {
	const most = 32
	if len(figure) <= most {
		return figure
	}
	return figure[:most-1] + "…"
}

// cells are a goal as the right end of a table's line.
func (g Goal) cells(medians []Metrics) string {
	limit, _, known := g.met(medians)
	wanted := "unknown"
	if known {
		wanted = number(limit)
	}
	return fmt.Sprintf("| %s | %s | %s | %s |", g, wanted, number(medians[0][g.Figure]), g.verdict(medians))
}

// anchor is what a heading is linked by.
func anchor(title string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, title)
}

// costs lists what the requests of some loads cost in a month.
func (p *report) costs() {
	lines := ""
	for _, c := range []struct{ row, load, figure string }{
		{"remote-20mb", "a writer, 20 MB/s, every batch acknowledged from the bucket", "request_dollars_per_month"},
		{"followers-writer", "a writer, 20 MB/s in 1,000,000 keys, and 50,000 followers in its process", "request_dollars_per_month"},
		{"followers-process", "the writer alone, its followers being elsewhere", "request_dollars_per_month"},
		{"followers-process", "a reader process with 50,000 followers", "reader_request_dollars_per_month"},
		{"idle", "a reader of a log that nobody writes, one look a second", "reader_idle_dollars_per_month"},
	} {
		i := slices.IndexFunc(p.rows, func(r recordedRow) bool { return r.Name == c.row })
		if i < 0 {
			continue
		}
		if v, ok := p.rows[i].medians[0][c.figure]; ok {
			lines += fmt.Sprintf("| %s | %s | %s of %s |\n", c.load, number(v), c.figure, c.row)
		}
	}
	if lines != "" {
		p.WriteString("## Cost\n\nRequests of 30 days in dollars, for windows measured below. Storage is not in it.\n\n| load | dollars per month | is |\n|---|--:|---|\n" + lines + "\n")
	}
}

// row writes one row of the goals.
func (p *report) row(r recordedRow) error {
	fmt.Fprintf(p, "## %s\n\n", r.Title)
	first := r.runs.Runs[0]
	if r.runs.Quick {
		p.WriteString("These runs were small: they show that the row runs, and their figures say nothing.\n\n")
	}
	if f := first[0].Formula; f != "" {
		fmt.Fprintf(p, "Model: %s.\n\n", f)
	}
	if len(r.Goals) > 0 {
		p.WriteString("| goal | limit | measured | |\n|---|--:|--:|---|\n")
		for _, g := range r.Goals {
			fmt.Fprintln(p, g.cells(r.medians))
		}
		p.WriteString("\n")
	}
	p.figures(r)
	for i, names := range r.Charts {
		file := r.Name
		if i > 0 {
			file = fmt.Sprintf("%s-%d", r.Name, i+1)
		}
		if err := p.draw(file, rowChart(r.Row, r.runs, names)); err != nil {
			return err
		}
	}
	fmt.Fprintf(p, "%s%s, configuration %s. Again: `logdb bench goals --row %s`, or one run by itself:\n\n```sh\n", runs(len(r.runs.Runs)), r.runs.sources(), first[0].Digest, r.Name)
	for i, c := range r.Cases {
		if len(first) > i && first[i] != nil {
			fmt.Fprintln(p, c.command())
		}
	}
	p.WriteString("```\n\n")
	return nil
}

func runs(n int) string {
	if n == 1 {
		return "1 run"
	}
	return fmt.Sprintf("%d runs", n)
}

// figures writes the table of a row's figures, a column for each case that ran.
func (p *report) figures(r recordedRow) {
	var cases []map[string]spread
	names, line := "| figure |", "|---|"
	for i, c := range r.Cases {
		if s := r.runs.spreads(i); len(s) > 0 {
			cases = append(cases, s)
			names += " " + c.Name + " |"
			line += "--:|"
		}
	}
	fmt.Fprintf(p, "%s |\n%s---|\n", names, line)
	seen := map[string]bool{}
	for _, name := range slices.Concat(figures(r.Row), r.Show, []string{"stolen_cpu_share"}) {
		if seen[name] {
			continue
		}
		seen[name] = true
		cells, any := "", false
		for _, s := range cases {
			v, ok := s[name]
			if !ok {
				cells += " |"
				continue
			}
			any = true
			cells += fmt.Sprintf(" %s (%s to %s) |", number(v.median), number(v.least), number(v.most))
		}
		if any {
			fmt.Fprintf(p, "| %s |%s %s |\n", name, cells, Meaning(name))
		}
	}
	p.WriteString("\n")
}

// figures are those that a row's goals look at.
func figures(row Row) (names []string) {
	for _, g := range row.Goals {
		names = append(names, g.Figure)
		if g.Of != "" {
			names = append(names, g.Of)
		}
	}
	return names
}

// draw writes a chart beside the results and refers to it; one of a single bar says nothing and is left out.
func (p *report) draw(name string, c *chart) error {
	if len(c.bars) < 2 {
		return nil
	}
	file := filepath.Join(p.dir, name+".svg")
	if err := os.WriteFile(file, c.svg(), 0o666); err != nil {
		return fmt.Errorf("bench: chart: %w", err)
	}
	from, err := filepath.Rel(filepath.Dir(p.page), file)
	if err != nil {
		return fmt.Errorf("bench: chart: %w", err)
	}
	fmt.Fprintf(p, "![%s](%s)\n\n", c.title, strings.ReplaceAll(filepath.ToSlash(from), " ", "%20"))
	return nil
}
