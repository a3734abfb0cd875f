package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/logdb-go/logdb/logdb"
	"github.com/logdb-go/logdb/objstore"
)

func (a *app) checkCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Read every object, verify every checksum and every invariant",
		Long: `Read every object of the log, verify every checksum and every invariant. A writer
may be at work meanwhile. Objects that the log does not name are counted as left
over and are no finding: the writer collects them. Exit status 1 on any finding.`,
		Args: wantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.check(cmd) },
	}
}

type findingLine struct {
	Object string `json:"object,omitempty"`
	Offset int64  `json:"offset"`
	Error  string `json:"error"`
}

type checkedLine struct {
	Findings   uint64 `json:"findings"`
	Objects    uint64 `json:"objects"`
	Bytes      uint64 `json:"bytes"`
	Segments   uint64 `json:"segments"`
	Tables     uint64 `json:"tables"`
	WALObjects uint64 `json:"wal_objects"`
	Records    uint64 `json:"records"`
	Orphans    uint64 `json:"orphans"`
}

func (a *app) check(cmd *cobra.Command) error {
	b, err := a.bucket(cmd.Context())
	if err != nil {
		return err
	}
	out := a.printer()
	out.live = true
	var n logdb.Checked
	found := uint64(0)
	for err := range logdb.CheckInto(cmd.Context(), b, &n) {
		var corrupt *logdb.CorruptError
		switch {
		case errors.As(err, &corrupt):
			found++
			err = out.line(findingLine{corrupt.Object, corrupt.Offset, corrupt.Err.Error()}, "%s: %v", place(corrupt), corrupt.Err)
		case errors.Is(err, objstore.ErrUnsupported):
			found++
			err = out.line(findingLine{Error: err.Error()}, "%v", err)
		default:
			err = a.unreadable(err)
		}
		if err != nil {
			return err
		}
	}
	l := checkedLine{found, n.Objects, n.Bytes, n.Segments, n.Tables, n.WALObjects, n.Records, n.Orphans}
	if err := out.line(l, "%s, %s: %s in %s, %s and %s of the WAL; %s left over",
		plural(n.Objects, "object"), size(float64(n.Bytes)), plural(n.Records, "record"), plural(n.Segments, "segment"),
		plural(n.Tables, "table"), plural(n.WALObjects, "object"), plural(n.Orphans, "object")); err != nil {
		return err
	}
	if found > 0 {
		return errors.New(plural(found, "finding"))
	}
	if err := out.head("no findings"); err != nil {
		return err
	}
	return out.flush()
}

// place is where a finding is; byte 0 stands for the whole object.
func place(e *logdb.CorruptError) string {
	if e.Offset == 0 {
		return e.Object
	}
	return fmt.Sprintf("%s at byte %d", e.Object, e.Offset)
}
