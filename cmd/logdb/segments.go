package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/logdb-go/logdb/logdb"
)

func (a *app) segmentsCommand() *cobra.Command {
	var rng rangeFlags
	cmd := &cobra.Command{
		Use:   "segments",
		Short: "List the segments, oldest first",
		Long: `List the segments, oldest first: windows of the sequence space over all keys.

A sealed segment takes no more records; retention drops whole segments.`,
		Args: wantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.read(cmd.Context(), once, func(r *logdb.LogDbReader) error {
				segments, err := r.ListSegments(cmd.Context(), rng.get())
				if err != nil {
					return err
				}
				if len(segments) == 0 && !a.json() {
					note(a.stderr, "no segment in this range")
				}
				return a.printSegments(segments)
			})
		},
	}
	rng.flags(cmd)
	return cmd
}

type segmentLine struct {
	Segment     uint64  `json:"segment"`
	Start       uint64  `json:"start"`
	End         *uint64 `json:"end,omitempty"` // once sealed
	Sealed      bool    `json:"sealed"`
	Records     uint64  `json:"records"`
	Bytes       uint64  `json:"bytes"`
	Opened      string  `json:"opened"`
	Last        string  `json:"last"`
	Metadata    *string `json:"metadata,omitempty"`
	MetadataB64 *string `json:"metadata_b64,omitempty"`
}

func (a *app) printSegments(segments []logdb.Segment) error {
	out := a.printer()
	if len(segments) > 0 {
		if err := out.head("%7s  %-6s %10s %10s %10s %12s  %-*s  %-*s  %s", "SEGMENT", "STATE", "START", "END", "RECORDS", "BYTES",
			len(timeFormat), "OPENED", len(timeFormat), "LAST", "METADATA"); err != nil {
			return err
		}
	}
	for _, s := range segments {
		l := segmentLine{
			Segment: s.ID, Start: s.Sequences.Start(), Sealed: s.Sealed, Records: s.Records, Bytes: s.Bytes,
			Opened: showTime(s.Opened), Last: showTime(s.Last),
		}
		state, end, metadata := "open", "", ""
		if e, bounded := s.Sequences.End(); bounded {
			l.End, state, end = &e, "sealed", fmt.Sprint(e)
		}
		if len(s.Metadata) > 0 {
			l.Metadata, l.MetadataB64 = text(s.Metadata)
			metadata = show(s.Metadata)
		}
		if err := out.line(l, "%7d  %-6s %10d %10s %10d %12d  %s  %s  %s", l.Segment, state, l.Start, end, l.Records, l.Bytes, l.Opened, l.Last, metadata); err != nil {
			return err
		}
	}
	return out.flush()
}
