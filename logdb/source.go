package logdb

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/logdb-go/logdb/logdb/internal/view"
	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/segment"
)

// source is what both faces read through: where the newest view is, how to get
// a newer one, and who tells of new entries.
type source struct {
	// current returns the newest view and the frontier for a visibility. The
	// view is at least as new as the frontier.
	current func(Durability) (*view.View, uint64, error)
	// renew returns once a view newer than v is current; errUnchanged if the
	// newest manifest is the one that v was made of.
	renew func(ctx context.Context, v *view.View) error
	// live adds what memtables hold, which still grow, to a view's segments.
	live func(*view.View, []view.SegmentInfo)

	followers *followers
	// advanced subscribes to the frontier of a visibility that followers, who
	// are told of applied entries, do not announce; nil channel if they do.
	advanced func(context.Context, Durability) <-chan uint64
	// lags tells whether records become readable, at a visibility, later than
	// followers are told of them.
	lags func(Durability) bool
}

// renewals bounds how often one read starts over because tables vanished under
// it; each time the whole grace of the collector has passed.
const renewals = 3

// whenClosed gives a read that outlived its log the log's own error.
func whenClosed(err error) error {
	if errors.Is(err, segment.ErrCacheClosed) {
		return ErrClosed
	}
	return err
}

// vanished tells an error that a newer view may mend.
func vanished(err error) bool { return errors.Is(err, objstore.ErrNotFound) }

// read runs f on the newest view, and again on a newer one if a table that the
// view names is gone.
func (s *source) read(ctx context.Context, d Durability, f func(v *view.View, hi uint64) error) error {
	for try := 0; ; try++ {
		v, hi, err := s.current(d)
		if err != nil {
			return err
		}
		if err = f(v, hi); !vanished(err) {
			return whenClosed(err)
		}
		if try == renewals {
			return fmt.Errorf("%w: %w", ErrStale, err)
		}
		if err := s.renewed(ctx, v, err); err != nil {
			return err
		}
	}
}

// errUnchanged: the newest manifest still names what the bucket does not have.
var errUnchanged = errors.New("the manifest still names it")

// renewed makes a view newer than v current, after a read of v found a table
// gone. A table that the newest manifest still names is lost.
func (s *source) renewed(ctx context.Context, v *view.View, gone error) error {
	err := s.renew(ctx, v)
	var table *view.TableError
	if errors.Is(err, errUnchanged) && errors.As(gone, &table) {
		return &CorruptError{Object: table.Table, Err: fmt.Errorf("%w: %w", errUnchanged, table.Err)}
	}
	return err
}

func (s *source) get(ctx context.Context, key []byte, sequence uint64) (Entry, error) {
	var e view.Entry
	var found bool
	err := s.read(ctx, Default, func(v *view.View, hi uint64) (err error) {
		if sequence < v.TrimmedBelow {
			return &TrimmedError{Oldest: v.TrimmedBelow}
		}
		if sequence >= hi {
			return nil
		}
		e, found, err = v.Get(ctx, key, sequence)
		return err
	})
	if err != nil {
		return Entry{}, err
	}
	if !found {
		return Entry{}, fmt.Errorf("%w: key %q has no record %d", ErrNotFound, clip(key), sequence)
	}
	return Entry{Key: e.Key, Value: e.Value, Sequence: e.Sequence, Time: time.UnixMilli(e.TimeMs)}, nil
}

// clip keeps a key in a message short.
func clip(key []byte) []byte { return key[:min(len(key), 64)] }

func (s *source) count(ctx context.Context, key []byte, r Range) (n uint64, err error) {
	err = s.read(ctx, Default, func(v *view.View, hi uint64) (err error) {
		lo, hi := r.clamp(hi)
		if lo >= hi {
			return nil
		}
		n, err = v.Count(ctx, key, lo, hi)
		return err
	})
	return n, err
}

func (s *source) segments(ctx context.Context, r Range) ([]Segment, error) {
	var out []Segment
	err := s.read(ctx, Default, func(v *view.View, hi uint64) error {
		infos := append([]view.SegmentInfo(nil), v.Segments...)
		s.live(v, infos)
		for _, i := range infos {
			end := i.End
			if !i.Sealed {
				end = max(hi, i.Start+1)
			}
			if r.overlaps(i.Start, end) {
				out = append(out, publicSegment(i))
			}
		}
		return nil
	})
	return out, err
}

func publicSegment(i view.SegmentInfo) Segment {
	s := Segment{
		ID: i.ID, Sequences: From(i.Start), Opened: time.UnixMilli(i.OpenedMs), Last: time.UnixMilli(i.LastMs),
		Records: i.Records, Bytes: i.Bytes, Sealed: i.Sealed, Metadata: i.Metadata,
	}
	if i.Sealed {
		s.Sequences = Between(i.Start, i.End)
	}
	return s
}

func (s *source) inspect(ctx context.Context, key []byte, r Range) (Inspection, error) {
	var out Inspection
	err := s.read(ctx, Default, func(v *view.View, hi uint64) error {
		lo, hi := r.clamp(hi)
		if lo >= hi {
			return nil
		}
		in, err := v.Inspect(ctx, key, lo, hi)
		if err != nil {
			return err
		}
		out = Inspection{Records: in.Records, Requests: in.Requests}
		for _, t := range in.Tables {
			out.Tables = append(out.Tables, TableInspection{
				Segment: t.Segment, Table: t.Name, Records: t.Records, Blocks: t.Blocks, Bytes: t.Bytes,
				FilterHit: t.FilterHit, IndexInMemory: t.IndexInMemory,
			})
		}
		return nil
	})
	return out, err
}
