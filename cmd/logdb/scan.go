package main

import (
	"github.com/spf13/cobra"

	"github.com/logdb-go/logdb/logdb"
)

func (a *app) scanCommand() *cobra.Command {
	var (
		key     keyArg
		rng     rangeFlags
		limit   uint64
		reverse bool
	)
	cmd := &cobra.Command{
		Use:   "scan KEY",
		Short: "Print the records of one key",
		Example: `  logdb scan LAX-JFK --limit 10
  logdb scan LAX-JFK --reverse --limit 1 -o json`,
		Args: wantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			k, err := key.parse(args[0])
			if err != nil {
				return err
			}
			return a.read(cmd.Context(), once, func(r *logdb.LogDbReader) error {
				it := r.Scan(cmd.Context(), k, rng.get(), logdb.ScanOptions{Reverse: reverse, Records: bound(cmd, "limit", limit)})
				return a.printScan(it, k)
			})
		},
	}
	key.flag(cmd)
	rng.flags(cmd)
	cmd.Flags().Uint64Var(&limit, "limit", 0, "print at most `n` records (default: all)")
	cmd.Flags().BoolVar(&reverse, "reverse", false, "newest first")
	return cmd
}

func (a *app) printScan(it *logdb.Iterator, key []byte) error {
	out := a.printer()
	records := 0
	for e, err := range it.All() {
		if err != nil {
			_ = out.flush()
			return err
		}
		if records++; records == 1 {
			if err := out.entryHead(); err != nil {
				return err
			}
		}
		if err := out.entry(e); err != nil {
			return err
		}
	}
	if records == 0 && !a.json() {
		note(a.stderr, "no record of key %q in this range", key)
	}
	return out.flush()
}
