package main

import (
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/logdb-go/logdb/logdb/doctor"
)

func (a *app) doctorCommand() *cobra.Command {
	var o doctor.Options
	cmd := &cobra.Command{
		Use:   "doctor [BUCKET-URL]",
		Short: "Examine an object store: is a log safe there, what does it cost",
		Long: `Examine an object store before a log is trusted to it: does it honour conditional
writes, also when writers race, do reads and listings show what was written, how
fast is it, and what does a month of requests cost.

It writes objects of its own, named probe-*, and deletes them again; a log that is
there is left alone. Exit status 1 if the store is unsafe, or if that could not
be found out. A store that breaks its promises rarely, or only under failures
that did not happen meanwhile, passes.`,
		Example: `  logdb doctor 's3://bucket/prefix?region=eu-central-1' --readers 3 --ship-interval 100ms`,
		Args:    wantArgs(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				a.bucketURL = args[0]
			}
			if o.Rounds < 1 || o.Readers < 0 || o.ShipInterval < time.Millisecond || o.RefreshInterval < time.Millisecond || o.Prices.Put < 0 || o.Prices.Get < 0 {
				return badUsage("want at least 1 round, 0 readers, intervals of 1ms and prices of 0")
			}
			return a.doctor(cmd, o)
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&o.Rounds, "rounds", 30, "race writers, and compare reads, `n` times")
	flags.DurationVar(&o.ShipInterval, "ship-interval", 250*time.Millisecond, "price a writer that ships every `interval`")
	flags.DurationVar(&o.RefreshInterval, "refresh", time.Second, "price readers that look for new records every `interval`")
	flags.IntVar(&o.Readers, "readers", 1, "price `n` processes that read")
	flags.Float64Var(&o.Prices.Put, "put-price", doctor.S3Standard.Put, "`dollars` for 1000 PUT or LIST requests")
	flags.Float64Var(&o.Prices.Get, "get-price", doctor.S3Standard.Get, "`dollars` for 1000 GET requests")
	return cmd
}

type diagnosisLine struct {
	Check    string `json:"check"`
	Verdict  string `json:"verdict"`
	Saw      string `json:"saw"`
	Want     string `json:"want"`
	Optional bool   `json:"optional"`
}

type latencyLine struct {
	Request string  `json:"request"`
	Bytes   int     `json:"bytes"`
	Count   int     `json:"count"`
	P50     float64 `json:"p50_ms"`
	P90     float64 `json:"p90_ms"`
	P99     float64 `json:"p99_ms"`
}

type costLine struct {
	Puts        float64 `json:"puts_per_month"`
	Gets        float64 `json:"gets_per_month"`
	Dollars     float64 `json:"dollars_per_month"`
	IdleGets    float64 `json:"idle_gets_per_month"`
	IdleDollars float64 `json:"idle_dollars_per_month"`
	Formula     string  `json:"formula"`
}

type prognosisLine struct {
	Verdict  string            `json:"verdict"`
	Safe     bool              `json:"safe"`
	Sentence string            `json:"sentence"`
	Requests map[string]uint64 `json:"requests"`
	Dollars  float64           `json:"dollars"`
	Left     string            `json:"left_behind,omitempty"`
}

func (a *app) doctor(cmd *cobra.Command, o doctor.Options) error {
	b, err := a.bucket(cmd.Context())
	if err != nil {
		return err
	}
	out := a.printer()
	out.live = true
	var printed error
	o.Found = func(f doctor.Finding) {
		if printed == nil {
			printed = out.finding(f)
		}
	}
	report, err := doctor.Run(cmd.Context(), b, o)
	if report.LeftBehind != nil {
		note(a.stderr, "%v", report.LeftBehind)
	}
	if err = errors.Join(err, printed); err != nil {
		return err
	}
	if err := out.prognosis(report, o.Prices); err != nil {
		return err
	}
	switch {
	case report.Safe():
		return nil
	case report.Verdict() == doctor.Unsafe:
		return errors.New("unsafe")
	default:
		return errors.New("not known to be safe")
	}
}

func (p *printer) finding(f doctor.Finding) error {
	l := diagnosisLine{f.Name, string(f.Verdict), f.Saw, f.Want, f.Optional}
	err := p.line(l, "%-8s %-20s %s", f.Verdict, f.Name, f.Saw)
	if err == nil && f.Verdict != doctor.OK {
		err = p.head("%-8s %-20s want: %s", "", "", f.Want)
	}
	return err
}

func (p *printer) prognosis(r doctor.Report, prices doctor.Prices) error {
	for _, l := range r.Latencies {
		ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
		err := p.line(latencyLine{l.Request, l.Bytes, l.Count, ms(l.P50), ms(l.P90), ms(l.P99)},
			"%s of %4d KiB, %d times: p50 %.1f ms, p90 %.1f ms, p99 %.1f ms", l.Request, l.Bytes>>10, l.Count, ms(l.P50), ms(l.P90), ms(l.P99))
		if err != nil {
			return err
		}
	}
	c := r.Cost
	err := p.line(costLine{c.Puts, c.Gets, c.Dollars, c.IdleGets, c.IdleDollars, c.Formula()},
		"a month always busy: %.0f PUT, %.0f GET, $%.2f; idle: %.0f GET, $%.2f; storage not included\n%s",
		c.Puts, c.Gets, c.Dollars, c.IdleGets, c.IdleDollars, c.Formula())
	if err != nil {
		return err
	}
	end := prognosisLine{Verdict: string(r.Verdict()), Safe: r.Safe(), Sentence: r.Sentence(), Requests: r.Requests.Requests, Dollars: prices.Of(r.Requests)}
	if r.LeftBehind != nil {
		end.Left = r.LeftBehind.Error()
	}
	n := r.Requests.Requests
	return p.line(end, "this examination: %d PUT, %d GET, %d LIST, $%.4f\n%s",
		n["put"], n["get"]+n["get_range"], n["list"], end.Dollars, end.Sentence)
}
