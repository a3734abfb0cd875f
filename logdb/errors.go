package logdb

import (
	"errors"
	"fmt"
	"time"

	"github.com/logdb-go/logdb/objstore"
)

// Met when opening.
var (
	// ErrUnsafeBucket: the bucket ignores conditional writes, so two writers
	// would overwrite each other. Nothing was written but a probe object.
	ErrUnsafeBucket = objstore.ErrUnsafe
	// ErrNoLog: the bucket holds no log (readers; writers create one).
	ErrNoLog = errors.New("logdb: no log in this bucket")
	// ErrForeign: the bucket's prefix, or the WAL directory, belongs to
	// something else; the message names both sides.
	ErrForeign = errors.New("logdb: belongs to another log")
	// ErrLocked: another process has the WAL directory open.
	ErrLocked = errors.New("logdb: WAL directory is in use")
)

// Met when writing.
var (
	// ErrClosed: the log or reader was closed. Nothing was written.
	ErrClosed = errors.New("logdb: closed")
	// ErrFenced: a newer writer has opened the log. Sticky: this LogDb never
	// writes again. Wrapped in a *PendingError if the batch had been taken.
	ErrFenced = errors.New("logdb: fenced by a newer writer")
	// ErrDiskFull: the bucket is away, and Options.LocalBytes, or the disk, is
	// full of what waits for it. Nothing was written. Appends succeed again
	// when the bucket is back.
	ErrDiskFull = errors.New("logdb: local disk budget is used up while the bucket is away")
	// ErrQueueFull: TryAppend found no room for the batch. Nothing was written.
	ErrQueueFull = errors.New("logdb: append queue full")
)

// Met when reading.
var (
	// ErrNotFound: no record of this key has this sequence.
	ErrNotFound = errors.New("logdb: not found")
	// ErrStale: the bucket no longer holds what this view names and a newer
	// view could not be had. Reading again may succeed.
	ErrStale = errors.New("logdb: view is too old")
)

// CorruptError names an object (or local file) whose bytes failed a check, and
// where. Nothing of the damaged part is ever returned as data.
type CorruptError = objstore.CorruptError

// LimitError reports a batch that is too large in one respect. Nothing was
// written.
type LimitError struct {
	What         string // "key", "value", "batch" or "records"
	Record       int    // index in the batch, of a key or value
	Bytes, Limit int    // of "records": their number
}

func (e *LimitError) Error() string {
	switch e.What {
	case "batch":
		return fmt.Sprintf("logdb: batch has %d bytes, limit %d", e.Bytes, e.Limit)
	case "records":
		return fmt.Sprintf("logdb: batch has %d records, limit %d", e.Bytes, e.Limit)
	}
	return fmt.Sprintf("logdb: %s of record %d has %d bytes, limit %d", e.What, e.Record, e.Bytes, e.Limit)
}

// TrimmedError says that a read asked for sequences below what retention kept.
type TrimmedError struct {
	Oldest uint64 // no record below it is retained; reading on from it misses nothing
}

func (e *TrimmedError) Error() string {
	return fmt.Sprintf("logdb: trimmed, oldest retained sequence is %d", e.Oldest)
}

// PendingError: the batch was taken into the log at Appended, but the wait for
// Level ended with Err. The batch may become durable yet, or be lost with this
// writer. Do not append it again: compare DurableSequence(Level) with
// Appended.Next.
type PendingError struct {
	Appended Appended
	Level    Durability
	Err      error
}

func (e *PendingError) Error() string {
	return fmt.Sprintf("logdb: appended at [%d,%d), not yet %s: %v", e.Appended.First, e.Appended.Next, e.Level, e.Err)
}

// Unwrap returns the reason why the wait ended.
func (e *PendingError) Unwrap() error { return e.Err }

// BusyError: Options.Polite is set and the log's last writer, in another WAL
// directory, neither closed the log nor was silent for a minute. Nothing was
// written.
type BusyError struct {
	Host     string
	PID      int
	Epoch    uint64
	LastSeen time.Time // the newest write of that writer found in the bucket
}

func (e *BusyError) Error() string {
	return fmt.Sprintf("logdb: another writer may be alive: host %s, pid %d, epoch %d, last write %s",
		e.Host, e.PID, e.Epoch, e.LastSeen.UTC().Format(time.RFC3339Nano))
}

// poisonedError wraps the first failure after which a LogDb never writes again.
type poisonedError struct{ cause error }

func (e *poisonedError) Error() string { return "logdb: writer stopped: " + e.cause.Error() }
func (e *poisonedError) Unwrap() error { return e.cause }
