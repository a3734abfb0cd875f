package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/logdb-go/logdb/logdb"
)

func (a *app) tailCommand() *cobra.Command {
	t := tail{app: a}
	cmd := &cobra.Command{
		Use:   "tail KEY",
		Short: "Print the last records of one key, then new ones as they come",
		Long: `Print the last records of one key, then new ones as they come, until interrupted.

With --from, print everything from that sequence on, then new ones. Records show
once they are in the bucket: a moment after they were appended.`,
		Args: wantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			key, err := t.key.parse(args[0])
			if err != nil {
				return err
			}
			if t.every <= 0 {
				return badUsage("refresh of %v, want more than 0", t.every)
			}
			t.replay = cmd.Flags().Changed("from")
			return a.read(cmd.Context(), logdb.ReaderOptions{RefreshInterval: t.every}, func(r *logdb.LogDbReader) error {
				return t.run(cmd.Context(), r, key, bound(cmd, "limit", t.limit))
			})
		},
	}
	t.key.flag(cmd)
	cmd.Flags().Uint64Var(&t.from, "from", 0, "first `sequence`, instead of --lines")
	cmd.Flags().Uint64VarP(&t.lines, "lines", "n", 10, "begin with the last `n` records")
	cmd.Flags().Uint64Var(&t.limit, "limit", 0, "end after `n` records (default: never)")
	cmd.Flags().DurationVar(&t.every, "refresh", time.Second, "look for new records every `interval`: one request each")
	return cmd
}

type tail struct {
	app                *app
	key                keyArg
	from, lines, limit uint64
	every              time.Duration
	replay             bool // from was given
}

// run ends without an error when it is interrupted: there is no other end.
func (t *tail) run(ctx context.Context, r *logdb.LogDbReader, key []byte, limit logdb.Bound) error {
	from := t.from
	if !t.replay {
		var err error
		if from, err = t.begin(ctx, r, key); err != nil {
			return ignoreInterrupt(ctx, err)
		}
	}
	out := t.app.printer()
	out.live = true
	if err := out.entryHead(); err != nil {
		return err
	}
	if err := out.flush(); err != nil {
		return err
	}
	for e, err := range r.Follow(ctx, key, from, logdb.ScanOptions{Records: limit}).All() {
		if err != nil {
			return ignoreInterrupt(ctx, err)
		}
		if err := out.entry(e); err != nil {
			return err
		}
	}
	return nil
}

// begin is the sequence of the last records but lines.
func (t *tail) begin(ctx context.Context, r *logdb.LogDbReader, key []byte) (uint64, error) {
	from := r.Frontier()
	it := r.Scan(ctx, key, logdb.Range{}, logdb.ScanOptions{Reverse: true, Records: logdb.AtMost(t.lines)})
	for e, err := range it.All() {
		if err != nil {
			return 0, err
		}
		from = e.Sequence
	}
	return from, nil
}

func ignoreInterrupt(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
