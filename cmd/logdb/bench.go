package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/logdb-go/logdb/logdb/bench"
)

func (a *app) benchCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure what a log does: time, processor, memory, requests",
		Long: `Measure what a log does: time, processor time, memory, and requests to the bucket.

A run makes a log of its own, below a prefix of its own, and deletes it again. With
-o json it prints one object: environment, parameters, and figures by name. Loads
are drawn from a seed; times depend on the machine.`,
		Example: `  logdb bench ingest --keys 100000 --duration 10s
  logdb bench ingest --acks remote --mb-per-second 20 --writers 256 --model s3-standard
  logdb bench followers --keys 100000 --followers 5000 --reader process
  logdb bench goals --row scan-cold
  logdb bench report logdb/bench/results`,
	}
	for _, k := range bench.Kinds() {
		cmd.AddCommand(a.benchKind(k))
	}
	cmd.AddCommand(a.benchGoals(), a.benchReport(), a.benchLines(), &cobra.Command{
		Use: "child", Hidden: true, Args: wantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return bench.RunChild(cmd.Context(), a.stdin, a.stdout) },
	})
	return cmd
}

func (a *app) benchKind(k bench.Kind) *cobra.Command {
	place, results, profiled := &bench.Place{}, "", profiles{}
	b := k.New()
	cmd := &cobra.Command{Use: k.Name, Short: k.Short, Args: wantArgs(0, 0)}
	flags := flag.NewFlagSet(k.Name, flag.ContinueOnError)
	place.Flags(flags)
	b.Flags(flags)
	cmd.Flags().AddGoFlagSet(flags)
	cmd.Flags().StringVar(&results, "results", "", "also write the result to a file in this `directory`")
	cmd.Flags().StringVar(&profiled.dir, "profiles", "", "write profiles of processor and allocations to this `directory`")
	cmd.Flags().BoolVar(&profiled.trace, "trace", false, "with --profiles: an execution trace, too, which slows the run")
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		place.Child = childProcess
		show := newLiveLine(a)
		place.Progress = show.set
		defer show.clear()
		end, err := profiled.begin()
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, end()) }()
		return a.benchRuns(cmd.Context(), b, place, func(r *bench.Result) error {
			show.clear()
			return errors.Join(a.benchResult(r), writeResult(results, r))
		})
	}
	return cmd
}

// benchRuns runs a benchmark, or all variants of its scenario.
func (a *app) benchRuns(ctx context.Context, b bench.Benchmark, p *bench.Place, done func(*bench.Result) error) error {
	f, follows := b.(*bench.Followers)
	if !follows || f.Scenario == "" {
		r, err := b.Run(ctx, p)
		if err != nil {
			return err
		}
		return done(r)
	}
	variants, err := bench.Scenarios(f.Scenario, *f)
	if err != nil {
		return &usageError{err}
	}
	for _, v := range variants {
		if v.SealBytes > 0 {
			p.Log.SealBytes = v.SealBytes
		}
		r, err := v.Followers.Run(ctx, p)
		if err != nil {
			return fmt.Errorf("%s: %w", v.Name, err)
		}
		r.Notes = append(r.Notes, v.Name)
		if err := done(r); err != nil {
			return err
		}
	}
	return nil
}

// childProcess runs this command as a benchmark's child.
func childProcess(ctx context.Context) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		self = os.Args[0]
	}
	return exec.CommandContext(ctx, self, "bench", "child")
}

func (a *app) benchResult(r *bench.Result) error {
	if !a.json() {
		return r.WriteTable(a.stdout)
	}
	return json.NewEncoder(a.stdout).Encode(r)
}

func writeResult(dir string, r *bench.Result) error {
	if dir == "" {
		return nil
	}
	data, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	name := fmt.Sprintf("%s-%s-%s.json", r.Benchmark, r.Digest, r.Started.Format("20060102T150405.000"))
	return os.WriteFile(filepath.Join(dir, name), append(data, '\n'), 0o666)
}

func (a *app) benchGoals() *cobra.Command {
	o := bench.GoalOptions{Runs: 5}
	list := false
	cmd := &cobra.Command{
		Use:   "goals",
		Short: "Run the table of goals: every row several times, each beside its baseline",
		Long: `Run the table of goals. Every run is a process of its own; a row's baseline runs
between its runs. Results are written after every run, and a row that has all of its
runs already is not run again, so an interrupted command goes on where it was.`,
		Args: wantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if list {
				return bench.ListGoals(a.stdout)
			}
			self, err := os.Executable()
			if err != nil {
				return err
			}
			o.Program = self
			o.Say = func(line string) { note(a.stderr, "%s %s", time.Now().Format(time.TimeOnly), line) }
			return bench.RunGoals(cmd.Context(), a.stdout, o)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&list, "list", false, "list the rows and what they run")
	flags.StringSliceVar(&o.Rows, "row", nil, "run only this `row`; repeatable")
	flags.IntVar(&o.Runs, "runs", o.Runs, "run each row `n` times")
	flags.BoolVar(&o.Quick, "quick", false, "run each row small: to see that it runs, not to measure")
	flags.StringVar(&o.Results, "results", "bench-results", "`directory` of the results")
	flags.StringVar(&o.Scratch, "scratch", "", "`directory` for what the runs write (default: the system's)")
	flags.StringVar(&o.Jetbench, "jetbench", "", "`program` that drives JetStream, for the rows that compare with it (see cmd/jetbench)")
	return cmd
}

func (a *app) benchReport() *cobra.Command {
	page := ""
	cmd := &cobra.Command{
		Use:   "report DIR",
		Short: "Make a page of results: tables and charts",
		Args:  wantArgs(1, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			if page == "" {
				page = filepath.Join(filepath.Dir(filepath.Clean(args[0])), "BENCHMARKS.md")
			}
			return bench.Report(args[0], page)
		},
	}
	cmd.Flags().StringVar(&page, "page", "", "`file` to write (default: BENCHMARKS.md beside DIR); charts go into DIR")
	return cmd
}

func (a *app) benchLines() *cobra.Command {
	return &cobra.Command{
		Use:   "lines FILE...",
		Short: "Print results as Go's benchmarks print theirs, for benchstat",
		Example: `  logdb bench lines before/ingest-100k.json > before.txt
  logdb bench lines after/ingest-100k.json > after.txt
  benchstat before.txt after.txt`,
		Args: wantArgs(1, 1000),
		RunE: func(_ *cobra.Command, args []string) error {
			for _, file := range args {
				if err := bench.WriteLines(a.stdout, file); err != nil {
					return err
				}
			}
			return nil
		},
	}
}
