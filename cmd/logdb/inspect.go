package main

import (
	"github.com/spf13/cobra"

	"github.com/logdb-go/logdb/logdb"
)

func (a *app) inspectCommand() *cobra.Command {
	var (
		key keyArg
		rng rangeFlags
	)
	cmd := &cobra.Command{
		Use:   "inspect KEY",
		Short: "Tell how one key lies over tables, and what a scan costs",
		Long: `Tell how the records of one key lie over tables and blocks, and how many requests
to the bucket a scan of them would cost a process that has just opened the log.
Records that are in no table yet are in memory and cost nothing.`,
		Args: wantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			k, err := key.parse(args[0])
			if err != nil {
				return err
			}
			return a.read(cmd.Context(), once, func(r *logdb.LogDbReader) error {
				in, err := r.Inspect(cmd.Context(), k, rng.get())
				if err != nil {
					return err
				}
				return a.printInspection(k, in)
			})
		},
	}
	key.flag(cmd)
	rng.flags(cmd)
	return cmd
}

type inspectionLine struct {
	Key      *string     `json:"key,omitempty"`
	KeyB64   *string     `json:"key_b64,omitempty"`
	Records  uint64      `json:"records"`
	Requests uint64      `json:"requests"`
	Tables   []tableLine `json:"tables"`
}

type tableLine struct {
	Table   string `json:"table"`
	Segment uint64 `json:"segment"`
	Records uint64 `json:"records"`
	Blocks  uint64 `json:"blocks"`
	Bytes   uint64 `json:"bytes"`
	Filter  bool   `json:"filter"` // does not rule the key out
}

func (a *app) printInspection(key []byte, in logdb.Inspection) error {
	out := a.printer()
	l := inspectionLine{Records: in.Records, Requests: in.Requests, Tables: []tableLine{}}
	l.Key, l.KeyB64 = text(key)
	for _, t := range in.Tables {
		l.Tables = append(l.Tables, tableLine{Table: t.Table, Segment: t.Segment, Records: t.Records, Blocks: t.Blocks, Bytes: t.Bytes, Filter: t.FilterHit})
	}
	err := out.line(l, "%s: %s in %s; a scan costs %s", show(key), plural(in.Records, "record"), plural(uint64(len(in.Tables)), "table"), plural(in.Requests, "request"))
	if err != nil || a.json() || len(in.Tables) == 0 {
		if err == nil {
			err = out.flush()
		}
		return err
	}
	if err := out.head("%7s %10s %7s %12s  %-9s  %s", "SEGMENT", "RECORDS", "BLOCKS", "BYTES", "FILTER", "TABLE"); err != nil {
		return err
	}
	for _, t := range l.Tables {
		filter := "rules out"
		if t.Filter {
			filter = "may hold"
		}
		if err := out.line(nil, "%7d %10d %7d %12d  %-9s  %s", t.Segment, t.Records, t.Blocks, t.Bytes, filter, t.Table); err != nil {
			return err
		}
	}
	return out.flush()
}
