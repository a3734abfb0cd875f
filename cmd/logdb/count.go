package main

import (
	"github.com/spf13/cobra"

	"github.com/logdb-go/logdb/logdb"
)

func (a *app) countCommand() *cobra.Command {
	var (
		key keyArg
		rng rangeFlags
	)
	cmd := &cobra.Command{
		Use:   "count KEY",
		Short: "Count the records of one key, exactly",
		Args:  wantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			k, err := key.parse(args[0])
			if err != nil {
				return err
			}
			return a.read(cmd.Context(), once, func(r *logdb.LogDbReader) error {
				n, err := r.Count(cmd.Context(), k, rng.get())
				if err != nil {
					return err
				}
				l := countLine{Count: n}
				l.Key, l.KeyB64 = text(k)
				out := a.printer()
				if err := out.line(l, "%d", n); err != nil {
					return err
				}
				return out.flush()
			})
		},
	}
	key.flag(cmd)
	rng.flags(cmd)
	return cmd
}

type countLine struct {
	Key    *string `json:"key,omitempty"`
	KeyB64 *string `json:"key_b64,omitempty"`
	Count  uint64  `json:"count"`
}
