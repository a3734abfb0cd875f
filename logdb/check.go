package logdb

import (
	"context"
	"iter"

	"github.com/logdb-go/logdb/logdb/internal/inspect"
	"github.com/logdb-go/logdb/objstore"
)

// Checked counts what a check has looked at.
type Checked = inspect.Checked

// Check reads every object of a log, verifies every checksum and every
// invariant that the bucket can show, and yields what it finds, each a
// *CorruptError that names the object and, where it is known, the offset. A
// log without findings yields nothing.
//
// It may run beside a writer: what changes meanwhile is no finding. Objects
// that the log does not name are left for the writer to collect and are none
// either, unless their bytes are damaged or belong to another log. Memory does
// not grow with the log but for the manifest and about a bit per sequence of
// one segment.
//
// An error of another kind is no finding: ErrNoLog, an object of a version that
// this build does not know (the check goes on), or an error of the store or of
// ctx, which ends it.
func Check(ctx context.Context, b objstore.Reader) iter.Seq[error] {
	return CheckInto(ctx, b, &Checked{})
}

// CheckInto is Check that counts in n. The counts are complete when the
// sequence has ended.
func CheckInto(ctx context.Context, b objstore.Reader, n *Checked) iter.Seq[error] {
	return inspect.Check(ctx, b, ErrNoLog, n)
}
