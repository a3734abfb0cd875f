package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// GoalOptions say which goals are run, and how.
type GoalOptions struct {
	Rows     []string // nil: all
	Runs     int      // of each row
	Quick    bool
	Results  string // directory; made when absent
	Scratch  string // directory for what runs write; "" the system's
	Program  string // the logdb command
	Jetbench string // the jetbench command; "": baselines of JetStream are left out
	Say      func(line string)
}

// Recorded is what is kept of a row: the results of its cases, run by run.
type Recorded struct {
	Row   string      `json:"row"`
	Quick bool        `json:"quick,omitempty"` // small runs, whose figures say nothing
	Runs  [][]*Result `json:"runs"`            // by run, then by case; null: the case was left out
}

// RunGoals runs rows of the table, writes what they gave into files, and a summary of the medians to w. It goes on behind
// a row that fails, and then returns an error; a goal that is missed is no error.
func RunGoals(ctx context.Context, w io.Writer, o GoalOptions) error {
	rows := Goals(o.Quick)
	if len(o.Rows) > 0 {
		chosen := rows[:0:0]
		for _, name := range o.Rows {
			i := slices.IndexFunc(rows, func(r Row) bool { return r.Name == name })
			if i < 0 {
				return fmt.Errorf("bench: no row %q in the table of goals", name)
			}
			chosen = append(chosen, rows[i])
		}
		rows = chosen
	}
	if err := os.MkdirAll(o.Results, 0o777); err != nil {
		return fmt.Errorf("bench: results: %w", err)
	}
	var errs []error
	for _, row := range rows {
		r, err := o.row(ctx, row)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", row.Name, err))
			o.Say(errs[len(errs)-1].Error())
		}
		if ctx.Err() != nil {
			break
		}
		if err := summarize(w, row, r); err != nil {
			return err
		}
	}
	return errors.Join(errs...)
}

// row runs what is missing of a row.
func (o *GoalOptions) row(ctx context.Context, row Row) (*Recorded, error) {
	file := filepath.Join(o.Results, row.Name+".json")
	r, err := readRecorded(file)
	if errors.Is(err, fs.ErrNotExist) {
		r, err = &Recorded{Row: row.Name, Quick: o.Quick}, nil
	}
	if err != nil {
		return &Recorded{}, err
	}
	if r.Quick != o.Quick {
		return r, fmt.Errorf("bench: %s holds runs of the other size: remove it, or use another directory", file)
	}
	for len(r.Runs) < o.Runs {
		var results []*Result
		for _, c := range row.Cases {
			o.Say(fmt.Sprintf("%s, run %d of %d: %s", row.Name, len(r.Runs)+1, o.Runs, c.command()))
			result, err := o.once(ctx, row, c)
			if err != nil {
				return r, err
			}
			results = append(results, result)
		}
		r.Runs = append(r.Runs, results)
		if err := r.write(file); err != nil {
			return r, err
		}
	}
	return r, nil
}

// once runs a case in a process of its own; nil for JetStream where its program is not known.
func (o *GoalOptions) once(ctx context.Context, row Row, c Case) (*Result, error) {
	program, arguments := o.Program, append([]string{"bench"}, c.Args...)
	if c.Jet {
		if o.Jetbench == "" {
			return nil, nil
		}
		program, arguments = o.Jetbench, slices.Clone(c.Args)
	}
	arguments = append(arguments, "--scratch", o.Scratch)
	if !c.Jet {
		arguments = append(arguments, "-o", "json")
	}
	cmd := exec.CommandContext(ctx, program, arguments...)
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("bench: %s: %w: %s", c.command(), err, strings.TrimSpace(stderr.String()))
	}
	result := &Result{}
	if err := json.Unmarshal(out.Bytes(), result); err != nil {
		return nil, fmt.Errorf("bench: %s: its result: %w", c.command(), err)
	}
	result.Row = row.Name
	return result, nil
}

// readRecorded reads what [RunGoals] wrote of a row.
func readRecorded(file string) (*Recorded, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("bench: results: %w", err)
	}
	r := &Recorded{}
	if err := json.Unmarshal(data, r); err != nil {
		return nil, fmt.Errorf("bench: results: %s: %w", file, err)
	}
	return r, nil
}

// write replaces the file at once, so that an interrupted run leaves the one before.
func (r *Recorded) write(file string) error {
	data, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return fmt.Errorf("bench: results: %w", err)
	}
	if err := os.WriteFile(file+".new", append(data, '\n'), 0o666); err != nil {
		return fmt.Errorf("bench: results: %w", err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		return fmt.Errorf("bench: results: %w", err)
	}
	return nil
}

// spread is a figure over the runs of a case.
type spread struct{ median, least, most float64 }

// spreads returns the figures of a case; those that not all runs have are left out.
func (r *Recorded) spreads(index int) map[string]spread {
	values, runs := map[string][]float64{}, 0
	for _, run := range r.Runs {
		if index >= len(run) || run[index] == nil {
			continue
		}
		runs++
		for name, v := range run[index].Metrics {
			values[name] = append(values[name], v)
		}
	}
	all := map[string]spread{}
	for name, vs := range values {
		if len(vs) == runs {
			slices.Sort(vs)
			all[name] = spread{(vs[(runs-1)/2] + vs[runs/2]) / 2, vs[0], vs[runs-1]}
		}
	}
	return all
}

// medians are those of all cases.
func (r *Recorded) medians(cases int) []Metrics {
	all := make([]Metrics, cases)
	for i := range all {
		all[i] = Metrics{}
		for name, s := range r.spreads(i) {
			all[i][name] = s.median
		}
	}
	return all
}

// verdict says how a goal stands.
func (g Goal) verdict(cases []Metrics) string {
	limit, met, known := g.met(cases)
	switch {
	case !known:
		return "not measured"
	case met:
		return "met"
	}
	got := cases[0][g.Figure]
	if limit == 0 {
		return "missed"
	}
	return fmt.Sprintf("missed: %.2f of the limit", got/limit)
}

func summarize(w io.Writer, row Row, r *Recorded) error {
	medians := r.medians(len(row.Cases))
	if _, err := fmt.Fprintf(w, "%s: %s (medians of %d)\n", row.Name, row.Title, len(r.Runs)); err != nil {
		return err
	}
	for _, g := range row.Goals {
		if _, err := fmt.Fprintf(w, "  %-12s %s, want %s\n", number(medians[0][g.Figure]), g.verdict(medians), g); err != nil {
			return err
		}
	}
	for _, name := range row.Show {
		for i, c := range row.Cases {
			if v, ok := medians[i][name]; ok {
				if _, err := fmt.Fprintf(w, "  %-12s %s, %s\n", number(v), name, c.Name); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
