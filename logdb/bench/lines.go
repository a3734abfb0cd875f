package bench

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"unicode"
)

// WriteLines writes the results in a file in the format of Go's benchmarks, a line for each run of each case, for
// benchstat to compare two versions. The file is of a row, as [RunGoals] writes it, or has runs printed as JSON, one
// object each.
func WriteLines(w io.Writer, file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("bench: results: %w", err)
	}
	for d := json.NewDecoder(bytes.NewReader(data)); ; {
		var object json.RawMessage
		if err := d.Decode(&object); err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("bench: results: %s: %w", file, err)
		}
		row, run := &Recorded{}, &Result{}
		if err := errors.Join(json.Unmarshal(object, row), json.Unmarshal(object, run)); err != nil {
			return fmt.Errorf("bench: results: %s: %w", file, err)
		}
		if row.Runs == nil {
			err = run.writeLine(w, lineName(run.Benchmark))
		} else {
			err = row.writeLines(w)
		}
		if err != nil {
			return err
		}
	}
}

func (r *Recorded) writeLines(w io.Writer) error {
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
			name := lineName(r.Row)
			if i < len(cases) {
				name += "/" + lineName(cases[i].Name)
			}
			if err := result.writeLine(w, name); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *Result) writeLine(w io.Writer, name string) error {
	line := "Benchmark" + name + " 1"
	for _, figure := range slices.Sorted(maps.Keys(r.Metrics)) {
		line += fmt.Sprintf(" %g %s", r.Metrics[figure], figure)
	}
	_, err := fmt.Fprintln(w, line)
	return err
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
