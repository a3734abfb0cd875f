package bench

import (
	"context"

	"github.com/logdb-go/logdb/logdb"
)

// Cursor says where a follower goes on. It means something to the target that gave it and to nobody else; the zero
// Cursor is the beginning.
type Cursor uint64

// Target is a log under load. All methods but Close may be called from many goroutines.
type Target interface {
	// Append appends records as one batch and returns once it has reached a level: logdb.Applied, logdb.Local or
	// logdb.Remote, or the next stronger one that the target has. It keeps no byte of records.
	Append(ctx context.Context, records []logdb.Record, level logdb.Durability) error
	// Page reads up to limit records of a key from cursor on, hands each value to visit unless that is nil, and
	// returns how many there were and where to go on. The value is valid until visit returns.
	Page(ctx context.Context, key []byte, cursor Cursor, limit int, visit func(value []byte)) (records int, next Cursor, err error)
	// Tail returns a cursor behind everything that was appended before.
	Tail(ctx context.Context) (Cursor, error)
	Close() error
}

// Backlogger is a Target with work left over when appends stop.
type Backlogger interface {
	// Backlog is the number of records that are not yet where they will stay.
	Backlog() uint64
	// Drain puts everything where it will stay, and returns when that is done.
	Drain(ctx context.Context) error
}

// library is a LogDb in this process, read by itself or by a LogDbReader beside it.
type library struct {
	db     *logdb.LogDb
	reader *logdb.LogDbReader // nil: db reads
}

// Append implements Target.
func (l *library) Append(ctx context.Context, records []logdb.Record, level logdb.Durability) error {
	_, err := l.db.Append(ctx, records, logdb.AppendOptions{Ack: level})
	return err
}

// Page implements Target.
func (l *library) Page(ctx context.Context, key []byte, cursor Cursor, limit int, visit func([]byte)) (int, Cursor, error) {
	var from logdb.LogRead = l.db
	if l.reader != nil {
		from = l.reader
	}
	return page(ctx, from, key, cursor, limit, visit)
}

func page(ctx context.Context, from logdb.LogRead, key []byte, cursor Cursor, limit int, visit func([]byte)) (records int, next Cursor, err error) {
	it := from.Scan(ctx, key, logdb.From(uint64(cursor)), logdb.ScanOptions{Records: logdb.AtMost(uint64(limit))})
	for it.Next() {
		records++
		if visit != nil {
			visit(it.Entry().Value)
		}
	}
	next, err = Cursor(it.NextSequence()), it.Err()
	if closed := it.Close(); err == nil {
		err = closed
	}
	return records, next, err
}

// Tail implements Target.
func (l *library) Tail(context.Context) (Cursor, error) {
	return Cursor(l.db.DurableSequence(logdb.Applied)), nil
}

// Backlog implements Backlogger: records that are in no table.
func (l *library) Backlog() uint64 {
	m := l.db.Metrics()
	return m.Applied - min(m.Flushed, m.Applied)
}

// Drain implements Backlogger: the active segment is sealed, in the bucket, and merged.
func (l *library) Drain(ctx context.Context) error {
	if err := l.db.Flush(ctx); err != nil {
		return err
	}
	if _, _, err := l.db.SealSegment(ctx, nil); err != nil {
		return err
	}
	if err := l.tables(ctx); err != nil {
		return err
	}
	return l.db.Compact(ctx)
}

// tables waits until everything is in tables. A seal that was acknowledged is in the bucket, but what it ended may
// still be on its way from WAL objects into tables.
func (l *library) tables(ctx context.Context) error {
	return poll(ctx, func() bool { return l.Backlog() == 0 || l.db.Err() != nil })
}

// Close implements Target.
func (l *library) Close() error {
	if l.reader != nil {
		if err := l.reader.Close(); err != nil {
			_ = l.db.Close()
			return err
		}
	}
	return l.db.Close()
}
