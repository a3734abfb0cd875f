package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/logdb-go/logdb/logdb"
)

func (a *app) compactCommand() *cobra.Command {
	var (
		o             logdb.CompactorOptions
		once, collect bool
	)
	cmd := &cobra.Command{
		Use:   "compact [BUCKET-URL]",
		Short: "Merge tables, beside the writer or without one",
		Long: `Merge the tables of a log, so that scans read fewer of them, and delete what
nothing names any more: the tables that were replaced, and what crashed processes
left. Nothing is lost if it is killed; the next one goes on.

It works until it is interrupted, or fenced by another compactor or by a writer
that merges itself. A writer with --external-compactor leaves merging to it.
With --once it merges what is due and ends; what it replaced is left to the next
sweep, unless --collect has it wait for the grace and delete that too.`,
		Example: `  logdb compact 's3://bucket/prefix?region=eu-central-1' --bytes-per-second 50000000
  logdb compact file:logdb-data/bucket --once --collect`,
		Args: wantArgs(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				a.bucketURL = args[0]
			}
			if collect && !once {
				return badUsage("--collect goes with --once: without, it collects as it goes")
			}
			if o.BytesPerSecond < 0 || o.Interval < time.Second || o.CollectGrace < time.Minute {
				return badUsage("want at least 0 bytes per second, an interval of 1s and a grace of 1m")
			}
			return a.compact(cmd.Context(), o, once, collect)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&once, "once", false, "merge what is due now, and end")
	flags.BoolVar(&collect, "collect", false, "with --once: wait for the grace, then delete what nothing names any more")
	flags.BoolVar(&o.NoConsolidation, "no-consolidation", false, "merge small tables only, and leave sealed segments as they are")
	flags.Int64Var(&o.BytesPerSecond, "bytes-per-second", 0, "read at most so many `bytes` a second, and write about as many; 0: as fast as it goes")
	flags.DurationVar(&o.Interval, "interval", 30*time.Second, "look for work every `interval`; a look is one request")
	flags.DurationVar(&o.CollectGrace, "grace", 2*time.Minute, "keep what was replaced for so `long`, for readers of an older view")
	return cmd
}

// compaction counts what was done, and says it as it is done.
type compaction struct {
	mu  sync.Mutex
	out *printer
	err error

	Merges   int   `json:"merges"`
	Replaced int   `json:"tables_replaced"`
	Bytes    int64 `json:"bytes_written"`
	Deleted  int   `json:"objects_deleted"`
}

type mergeLine struct {
	Segment  uint64  `json:"segment"`
	Replaced int     `json:"tables_replaced"`
	Start    uint64  `json:"start"`
	End      uint64  `json:"end"`
	Bytes    int64   `json:"bytes_written"`
	Seconds  float64 `json:"seconds"`
}

func (c *compaction) merged(e logdb.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	end, _ := e.Range.End()
	c.Merges, c.Replaced, c.Bytes = c.Merges+1, c.Replaced+e.Tables, c.Bytes+e.Bytes
	l := mergeLine{Segment: e.Segment, Replaced: e.Tables, Start: e.Range.Start(), End: end, Bytes: e.Bytes, Seconds: e.Duration.Seconds()}
	err := c.out.line(l, "segment %d [%d,%d): %s merged into %s in %.1f s", l.Segment, l.Start, l.End, plural(uint64(l.Replaced), "table"), size(float64(l.Bytes)), l.Seconds)
	if err == nil {
		err = c.out.flush()
	}
	c.err = errors.Join(c.err, err)
}

func (c *compaction) deleted(logdb.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Deleted++
}

func (a *app) compact(ctx context.Context, o logdb.CompactorOptions, once, collect bool) error {
	b, err := a.bucket(ctx)
	if err != nil {
		return err
	}
	done := &compaction{out: a.printer()}
	o.Logger, o.Events.Merged, o.Events.Deleted = a.logger(), done.merged, done.deleted
	c, err := logdb.OpenCompactor(ctx, b, o)
	if err != nil {
		return a.unreadable(err)
	}
	switch {
	case !once:
		err = c.Run(ctx)
	default:
		if err = c.Compact(ctx); err == nil && collect {
			err = c.Collect(ctx)
		}
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = nil // interrupted: whatever it did is done
	}
	return errors.Join(err, c.Close(), done.summary())
}

func (c *compaction) summary() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.out.line(c, "%s: %s replaced, %s written; %s deleted", plural(uint64(c.Merges), "merge"), plural(uint64(c.Replaced), "table"), size(float64(c.Bytes)), plural(uint64(c.Deleted), "object"))
	return errors.Join(c.err, err, c.out.flush())
}
