package bench

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode"
)

// WriteLines writes what was recorded of a row in the format of Go's benchmarks, a line for each run of each case, for
// benchstat to compare two versions.
func (r *Recorded) WriteLines(w io.Writer) error {
	var cases []Case
	rows := Goals(r.Quick)
	if i := slices.IndexFunc(rows, func(row Row) bool { return row.Name == r.Row }); i >= 0 {
		cases = rows[i].Cases
	}
	for _, run := range r.Runs {
		for i, result := range run {
			if result == nil {
				continue
			}
			line := "Benchmark" + lineName(r.Row)
			if i < len(cases) {
				line += "/" + lineName(cases[i].Name)
			}
			line += " 1"
			for _, figure := range slices.Sorted(maps.Keys(result.Metrics)) {
				line += fmt.Sprintf(" %g %s", result.Metrics[figure], figure)
			}
			if _, err := fmt.Fprintln(w, line); err != nil {
				return err
			}
		}
	}
	return nil
}

// lineName is a name as a benchmark has one: words begin with capitals, and nothing but letters and digits is left.
func lineName(s string) string {
	var b strings.Builder
	up := true
	for _, r := range s {
		switch {
		case !unicode.IsLetter(r) && !unicode.IsDigit(r):
			up = r != ',' // 1,000 stays together
			continue
		case up:
			r = unicode.ToUpper(r)
		}
		up = false
		b.WriteRune(r)
	}
	return b.String()
}
