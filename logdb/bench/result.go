package bench

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// Metrics are the figures of a run, each under a name that ends in its unit. [Meaning] explains the names.
type Metrics map[string]float64

// Result is one run.
type Result struct {
	Benchmark string `json:"benchmark"`
	Row       string `json:"row,omitempty"` // of the table of goals, where it was run for one
	Target    string `json:"target"`
	Bucket    string `json:"bucket"`
	Formula   string `json:"model_formula,omitempty"`
	// Digest is the same for runs with the same benchmark, target, bucket and parameters.
	Digest      string          `json:"configuration_digest"`
	Parameters  json.RawMessage `json:"parameters"`
	Log         LogOptions      `json:"log_options"`
	Metrics     Metrics         `json:"metrics"`
	Notes       []string        `json:"notes,omitempty"`
	Environment Environment     `json:"environment"`
	Started     time.Time       `json:"started"`
	Seconds     float64         `json:"seconds"` // the run took, with set-up and clean-up

	before processors
}

// result begins the Result of a run.
func (s *site) result(benchmark string, parameters any) (*Result, error) {
	raw, err := json.Marshal(parameters)
	if err != nil {
		return nil, fmt.Errorf("bench: parameters: %w", err)
	}
	formula, err := ModelFormula(s.Model)
	if err != nil {
		return nil, err
	}
	r := &Result{
		Benchmark: benchmark, Target: s.target(), Bucket: s.described(), Formula: formula, Parameters: raw, Log: s.Log,
		Metrics: Metrics{}, Environment: environment(), Started: time.Now().UTC().Truncate(time.Millisecond),
		before: processorsNow(),
	}
	same, err := json.Marshal([]any{r.Benchmark, r.Target, r.Bucket, r.Parameters, r.Log})
	if err != nil {
		return nil, fmt.Errorf("bench: parameters: %w", err)
	}
	sum := sha256.Sum256(same)
	r.Digest = hex.EncodeToString(sum[:8])
	return r, nil
}

func (r *Result) note(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}

// end takes what can only be known at the end of a run.
func (r *Result) end() *Result {
	r.Seconds = time.Since(r.Started).Seconds()
	r.Metrics.set("rss_peak_bytes", float64(peakRSS()))
	if now := processorsNow(); now.busy > 0 {
		r.Metrics["stolen_cpu_share"] = now.stolenSince(r.before)
	}
	return r
}

// set leaves out what the system did not tell.
func (m Metrics) set(name string, v float64) {
	if v != 0 {
		m[name] = v
	}
}

// WriteTable prints the figures of a run for people: name, value, meaning.
func (r *Result) WriteTable(w io.Writer) error {
	names := slices.Sorted(maps.Keys(r.Metrics))
	if _, err := fmt.Fprintf(w, "%s, %s, bucket: %s, configuration %s, %.1f s\n", r.Benchmark, r.Target, r.Bucket, r.Digest, r.Seconds); err != nil {
		return err
	}
	if r.Formula != "" {
		if _, err := fmt.Fprintln(w, r.Formula); err != nil {
			return err
		}
	}
	for _, name := range names {
		if _, err := fmt.Fprintf(w, "  %-44s %14s  %s\n", name, number(r.Metrics[name]), Meaning(name)); err != nil {
			return err
		}
	}
	for _, n := range r.Notes {
		if _, err := fmt.Fprintf(w, "  note: %s\n", n); err != nil {
			return err
		}
	}
	return nil
}

// number prints a figure with four digits that matter, and in groups of three.
func number(v float64) string {
	switch a := max(v, -v); {
	case a >= 1000 || v == float64(int64(v)):
		s := fmt.Sprintf("%.0f", v)
		sign := ""
		if strings.HasPrefix(s, "-") {
			sign, s = "-", s[1:]
		}
		for i := len(s) - 3; i > 0; i -= 3 {
			s = s[:i] + "," + s[i:]
		}
		return sign + s
	default:
		return fmt.Sprintf("%.4g", v)
	}
}
