package bench

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Report makes a page of the results of goals in a directory: a table for each row, charts beside the results, and the
// commands that repeat them. Rows without results are left out.
func Report(dir, page string) error {
	var body bytes.Buffer
	var first *Result
	rows := 0
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
		rows++
		first = cmp.Or(first, r.Runs[0][0])
		chart, err := writeChart(dir, page, row, r)
		if err != nil {
			return err
		}
		writeRow(&body, row, r, chart)
	}
	if rows == 0 {
		return fmt.Errorf("bench: no results of goals in %s", dir)
	}
	text := head(first) + body.String()
	if err := os.WriteFile(page, []byte(text), 0o666); err != nil {
		return fmt.Errorf("bench: page: %w", err)
	}
	return nil
}

const method = `# Benchmarks

This page is made of the raw results beside it by ` + "`logdb bench report`" + `; nothing in it was typed. ` + "`go doc ./logdb/bench`" + ` explains the
method, ` + "`logdb bench goals --list`" + ` lists what runs.

- GB is 1e9 bytes of keys and values. Random values do not compress.
- Latency of open loops counts from when an operation was due.
- Processor time and memory are those of the whole process, with the load generator; what the generator takes alone is beside.
- Figures are medians over the runs, with the least and the most. Baselines ran between the runs, on the same machine.
- JetStream is embedded in its generator's process as LogDb is, writes files, and does not fsync.
- Requests are priced as S3 Standard bills them: $0.005 for 1,000 PUT or LIST, $0.0004 for 1,000 GET.

`

func head(r *Result) string {
	e := r.Environment
	s := method + fmt.Sprintf("Measured on %s, %d processors, %.0f GB of memory, %s %s %s, %s, on %s.\n\n",
		cmp.Or(e.CPU, "an unknown processor"), e.CPUs, float64(e.MemoryBytes)/1e9, e.OS, e.Arch, e.Kernel, e.Go, r.Started.Format("2006-01-02"))
	if e.Revision != "" {
		changed := ""
		if e.Modified {
			changed = ", with changes that were not committed"
		}
		s += fmt.Sprintf("Source: %s%s.\n\n", e.Revision, changed)
	}
	return s
}

// writeRow writes one row of the goals.
func writeRow(w *bytes.Buffer, row Row, r *Recorded, chart string) {
	fmt.Fprintf(w, "## %s\n\n", row.Title)
	if r.Quick {
		fmt.Fprintf(w, "These runs were small: they show that the row runs, and their figures say nothing.\n\n")
	}
	if f := r.Runs[0][0].Formula; f != "" {
		fmt.Fprintf(w, "Model: %s.\n\n", f)
	}
	medians := r.medians(len(row.Cases))
	if len(row.Goals) > 0 {
		fmt.Fprintf(w, "| goal | limit | measured | |\n|---|--:|--:|---|\n")
		for _, g := range row.Goals {
			limit, _, known := g.met(medians)
			wanted := "unknown"
			if known {
				wanted = number(limit)
			}
			fmt.Fprintf(w, "| %s | %s | %s | %s |\n", g, wanted, number(medians[0][g.Figure]), g.verdict(medians))
		}
		fmt.Fprintln(w)
	}
	writeFigures(w, row, r)
	if chart != "" {
		fmt.Fprintf(w, "![%s](%s)\n\n", row.Chart, chart)
	}
	fmt.Fprintf(w, "%d runs, configuration %s. Again: `logdb bench goals --row %s`, or one run by itself:\n\n```sh\n", len(r.Runs), r.Runs[0][0].Digest, row.Name)
	for i, c := range row.Cases {
		if len(r.Runs[0]) > i && r.Runs[0][i] != nil {
			fmt.Fprintln(w, c.command())
		}
	}
	fmt.Fprintf(w, "```\n\n")
}

// writeFigures writes the table of a row's figures, a column for each case that ran.
func writeFigures(w *bytes.Buffer, row Row, r *Recorded) {
	var cases []map[string]spread
	names, line := "| figure |", "|---|"
	for i, c := range row.Cases {
		if s := r.spreads(i); len(s) > 0 {
			cases = append(cases, s)
			names += " " + c.Name + " |"
			line += "--:|"
		}
	}
	fmt.Fprintf(w, "%s |\n%s---|\n", names, line)
	seen := map[string]bool{}
	for _, name := range append(figures(row), row.Show...) {
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
			fmt.Fprintf(w, "| %s |%s %s |\n", name, cells, Meaning(name))
		}
	}
	fmt.Fprintln(w)
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

// writeChart draws a row, and returns the chart's name as the page refers to it; "" where there is nothing to draw.
func writeChart(dir, page string, row Row, r *Recorded) (string, error) {
	var bars []bar
	for i, c := range row.Cases {
		if s, ok := r.spreads(i)[row.Chart]; ok {
			bars = append(bars, bar{c.Name, s})
		}
	}
	if len(bars) < 2 {
		return "", nil
	}
	file := filepath.Join(dir, row.Name+".svg")
	if err := os.WriteFile(file, drawBars(row.Title, row.Chart, bars), 0o666); err != nil {
		return "", fmt.Errorf("bench: chart: %w", err)
	}
	name, err := filepath.Rel(filepath.Dir(page), file)
	if err != nil {
		return "", fmt.Errorf("bench: chart: %w", err)
	}
	return strings.ReplaceAll(filepath.ToSlash(name), " ", "%20"), nil
}
