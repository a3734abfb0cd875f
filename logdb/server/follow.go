package server

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"slices"

	"github.com/logdb-go/logdb/logdb"
)

// roundBytes bounds what a follower of one key reads from one snapshot.
const roundBytes = 1 << 20

// followQuery is what a follower asks for.
type followQuery struct {
	keys       [][]byte
	prefix     []byte // where there are no keys
	from       uint64
	fromTail   bool
	visibility logdb.Durability
	strict     bool
}

// sink takes what a follower is to be told. Entries come in the order of their
// sequences; the bytes are valid until the call returns.
type sink interface {
	entry(logdb.Entry) error
	// trimmed: retention has dropped what was asked for; it goes on at oldest.
	trimmed(oldest uint64) error
	heartbeat(next, tail uint64) error
	// flush sends what was gathered: nothing more is there now.
	flush() error
}

// follower is one that follows. Its cursor is the sequence below which the sink
// has been given everything.
type follower struct {
	s      *Server
	q      *followQuery
	g      *grant
	w      *logdb.Watch
	pulse  pulse
	cursor uint64
}

// admit checks a follower's question and finds room for it. The caller runs it,
// which releases the room.
func (s *Server) admit(q *followQuery, g *grant) (*follower, error) {
	if len(q.keys) > s.o.FollowKeys {
		return nil, invalid("too many keys for one follower; follow a prefix")
	}
	slices.SortFunc(q.keys, bytes.Compare)
	q.keys = slices.CompactFunc(q.keys, bytes.Equal) // a key that is named twice is followed once
	var err error
	for i := range q.keys {
		err = errors.Join(err, g.key(mayRead, q.keys[i]))
	}
	if len(q.keys) == 0 {
		err = g.prefix(mayRead, q.prefix)
	}
	if err == nil {
		err = s.standing()
	}
	if err != nil {
		return nil, err
	}
	if s.drained() || !s.crowd.TryAcquire(1) {
		return nil, overloaded("too many followers, or the server is going away")
	}
	f := &follower{s: s, q: q, g: g, cursor: q.from}
	o := logdb.WatchOptions{Keys: q.keys, Visibility: q.visibility}
	if len(q.keys) == 0 {
		o.Prefixes = [][]byte{q.prefix}
	}
	if q.fromTail {
		f.cursor = s.log.Frontier()
	}
	f.w = s.log.Watch(o)
	f.pulse.wake = f.w.Wake
	f.pulse.due.Store(true) // the first one says that history has ended
	return f, nil
}

// run follows until ctx ends, the server drains (no error), the client is gone,
// its token no longer holds, or the log ends.
func (f *follower) run(ctx context.Context, to sink) error {
	defer f.s.crowd.Release(1)
	defer f.s.o.Meter.following()()
	defer f.w.Close()
	f.s.heart.add(&f.pulse)
	defer f.s.heart.remove(&f.pulse)
	for {
		select {
		case <-f.w.C():
		case <-f.s.drain:
			return nil
		case <-ctx.Done():
			return nil
		}
		if err := f.step(ctx, to); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
}

// step gives the sink what is new.
func (f *follower) step(ctx context.Context, to sink) error {
	c, err := f.w.Take()
	if err != nil {
		return err
	}
	switch {
	case c.Next <= f.cursor:
	case !c.All && len(c.Keys) == 0:
		f.cursor = c.Next
	case len(f.q.keys) == 1:
		err = f.readOne(ctx, c.Next, to)
	default:
		err = f.readMany(ctx, c, to)
	}
	if err == nil && f.pulse.due.Swap(false) {
		if f.g, err = f.g.renewed(); err == nil {
			err = f.permitted()
		}
		if err == nil {
			err = to.heartbeat(f.cursor, f.s.log.Frontier())
		}
	}
	if err != nil {
		return err
	}
	return to.flush()
}

// permitted asks again what was asked when it began.
func (f *follower) permitted() error {
	for _, key := range f.q.keys {
		if err := f.g.key(mayRead, key); err != nil {
			return err
		}
	}
	if len(f.q.keys) == 0 {
		return f.g.prefix(mayRead, f.q.prefix)
	}
	return nil
}

// tries bounds how often a read starts over because retention or a merge went
// through under it.
const tries = 3

// readOne reads a single key up to end, some at a time, so that no snapshot
// lasts as long as a slow client.
func (f *follower) readOne(ctx context.Context, end uint64, to sink) error {
	for n := 0; f.cursor < end; {
		err := f.round(ctx, end, to)
		var trimmed *logdb.TrimmedError
		switch {
		case errors.As(err, &trimmed):
			if err := f.hole(trimmed, to); err != nil {
				return err
			}
		case errors.Is(err, logdb.ErrStale) && n < tries:
			n++
		case err != nil:
			return err
		}
	}
	return nil
}

func (f *follower) round(ctx context.Context, end uint64, to sink) error {
	it := f.s.log.Scan(ctx, f.q.keys[0], logdb.Between(f.cursor, end), logdb.ScanOptions{
		Bytes: logdb.AtMost(roundBytes), Records: logdb.AtMost(roundBytes / 64), Visibility: f.q.visibility, Strict: true,
	})
	defer it.Close()
	records, size := 0, 0
	for it.Next() {
		e := it.Entry()
		if err := to.entry(e); err != nil {
			return err
		}
		f.cursor = e.Sequence + 1
		records, size = records+1, size+len(e.Key)+len(e.Value)
	}
	f.s.o.Meter.scanned(records, size)
	if err := it.Err(); err != nil {
		return err
	}
	f.cursor = max(f.cursor, it.NextSequence())
	return nil
}

// hole tells of what retention dropped, or fails where it must not.
func (f *follower) hole(t *logdb.TrimmedError, to sink) error {
	if f.q.strict {
		return t
	}
	f.cursor = max(f.cursor, t.Oldest)
	return to.trimmed(t.Oldest)
}

// readMany reads keys that changed, or all, up to c.Next: window by window of
// the sequence space, each put into order in memory.
func (f *follower) readMany(ctx context.Context, c logdb.Changes, to sink) error {
	for n := 0; f.cursor < c.Next; {
		err := f.whole(ctx)
		var trimmed *logdb.TrimmedError
		if errors.As(err, &trimmed) {
			if err := f.hole(trimmed, to); err != nil {
				return err
			}
			continue
		}
		x := window{end: c.Next}
		if err == nil {
			err = f.gather(ctx, c, &x)
		}
		if errors.Is(err, logdb.ErrStale) && n < tries {
			n++
			continue
		}
		if err != nil {
			return err
		}
		for _, e := range x.entries {
			if err := to.entry(e); err != nil {
				return err
			}
		}
		f.s.o.Meter.scanned(len(x.entries), x.bytes)
		f.cursor = x.end
	}
	return nil
}

// whole is a *TrimmedError if something at the cursor may be missing. It reads
// nothing.
func (f *follower) whole(ctx context.Context) error {
	it := f.s.log.Scan(ctx, nil, logdb.From(f.cursor), logdb.ScanOptions{Strict: true, Records: logdb.AtMost(0)})
	defer it.Close()
	return it.Err()
}

// gather fills a window from the keys that may have something for it.
func (f *follower) gather(ctx context.Context, c logdb.Changes, x *window) error {
	keys := f.all(ctx, x)
	if !c.All {
		keys = func(yield func([]byte, error) bool) {
			for _, key := range c.Keys {
				if !yield(key, nil) {
					return
				}
			}
		}
	}
	for key, err := range keys {
		if err != nil {
			return err
		}
		if err := f.collect(ctx, key, x); err != nil {
			return err
		}
	}
	x.settle(0)
	return nil
}

// collect adds one key's entries between the cursor and the window's end.
func (f *follower) collect(ctx context.Context, key []byte, x *window) error {
	it := f.s.log.Scan(ctx, key, logdb.Between(f.cursor, x.end), logdb.ScanOptions{
		Bytes: logdb.AtMost(windowBytes), Records: logdb.AtMost(windowRecords), Visibility: f.q.visibility,
	})
	defer it.Close()
	for it.Next() {
		x.add(it.Entry())
	}
	if err := it.Err(); err != nil {
		return err
	}
	x.end = min(x.end, max(it.NextSequence(), f.cursor)) // lower, if a limit ended the scan
	x.settle(windowBytes)
	return nil
}

// all yields the followed keys that may have records in the window, from
// listings: no data is read for the others.
func (f *follower) all(ctx context.Context, x *window) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for _, key := range f.q.keys {
			if !yield(key, nil) {
				return
			}
		}
		if len(f.q.keys) > 0 {
			return
		}
		segments, err := f.s.log.ListSegments(ctx, logdb.Between(f.cursor, x.end))
		if err != nil {
			yield(nil, err)
			return
		}
		if len(segments) == 0 {
			return
		}
		o := logdb.KeyOptions{Prefix: f.q.prefix, Visibility: f.q.visibility, Segments: logdb.From(segments[0].ID)}
		for k, err := range f.s.log.ListKeys(ctx, o).All() {
			if err == nil && (k.Last < f.cursor || k.First >= x.end) {
				continue
			}
			if !yield(k.Key, err) || err != nil {
				return
			}
		}
	}
}
