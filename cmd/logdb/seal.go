package main

import (
	"github.com/spf13/cobra"

	"github.com/logdb-go/logdb/logdb"
)

func (a *app) sealCommand() *cobra.Command {
	var metadata string
	cmd := &cobra.Command{
		Use:   "seal",
		Short: "End the active segment",
		Long: `End the active segment: what is appended later goes into the next one. A segment
is also sealed by age and by size. Sealing a segment without records does nothing.`,
		Args: wantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.write(cmd.Context(), func(d *logdb.LogDb) error {
				s, sealed, err := d.SealSegment(cmd.Context(), []byte(metadata))
				if err != nil {
					return err
				}
				if !sealed {
					note(a.stderr, "nothing to seal: the active segment has no records")
					return nil
				}
				return a.printSegments([]logdb.Segment{s})
			})
		},
	}
	a.writerFlags(cmd)
	cmd.Flags().StringVar(&metadata, "metadata", "", "`text` to keep with the segment")
	return cmd
}
