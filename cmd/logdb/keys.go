package main

import (
	"github.com/spf13/cobra"

	"github.com/logdb-go/logdb/logdb"
)

func (a *app) keysCommand() *cobra.Command {
	var (
		prefix, after string
		limit         uint64
	)
	cmd := &cobra.Command{
		Use:     "keys",
		Short:   "List the keys, in byte order",
		Example: `  logdb keys --prefix LAX- --limit 20`,
		Args:    wantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o := logdb.KeyOptions{Prefix: []byte(prefix), Limit: bound(cmd, "limit", limit)}
			if cmd.Flags().Changed("start-after") {
				o.After = []byte(after)
			}
			return a.read(cmd.Context(), once, func(r *logdb.LogDbReader) error {
				return a.printKeys(r.ListKeys(cmd.Context(), o))
			})
		},
	}
	cmd.Flags().StringVar(&prefix, "prefix", "", "keys that begin with this `text`")
	cmd.Flags().StringVar(&after, "start-after", "", "keys greater than this `key`: the last of the page before")
	cmd.Flags().Uint64Var(&limit, "limit", 0, "list at most `n` keys (default: all)")
	return cmd
}

type keyLine struct {
	Key        *string `json:"key,omitempty"`
	KeyB64     *string `json:"key_b64,omitempty"`
	Count      uint64  `json:"count"`
	ValueBytes uint64  `json:"value_bytes"`
	First      uint64  `json:"first"`
	Last       uint64  `json:"last"`
	LastTime   string  `json:"last_time"`
}

func (a *app) printKeys(it *logdb.KeyIterator) error {
	out := a.printer()
	keys := 0
	for k, err := range it.All() {
		if err != nil {
			_ = out.flush()
			return err
		}
		if keys++; keys == 1 {
			if err := out.head("%10s %12s %10s %10s  %-*s  %s", "RECORDS", "BYTES", "FIRST", "LAST", len(timeFormat), "LAST TIME", "KEY"); err != nil {
				return err
			}
		}
		l := keyLine{Count: k.Count, ValueBytes: k.ValueBytes, First: k.First, Last: k.Last, LastTime: showTime(k.LastTime)}
		l.Key, l.KeyB64 = text(k.Key)
		if err := out.line(l, "%10d %12d %10d %10d  %s  %s", k.Count, k.ValueBytes, k.First, k.Last, l.LastTime, show(k.Key)); err != nil {
			return err
		}
	}
	if keys == 0 && !a.json() {
		note(a.stderr, "no such key")
	}
	return out.flush()
}
