package logdb

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/logdb-go/logdb/segment"
	"github.com/logdb-go/logdb/wal"
)

// replayStaged takes back what the directory holds as tables, from the epochs
// that count.
func (o *opening) replayStaged(from, to uint64) error {
	files, err := o.dir.Staged(from, to)
	if err != nil {
		return err
	}
	// Not in the order in which they were written: what was in the bucket in
	// part became a memtable again, and a later writer may have staged that.
	slices.SortStableFunc(files, func(a, b *wal.Staged) int { return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.End, b.End)) })
	end := o.end
	if o.opts.hooks.without(stagedFromEnd) {
		end = o.current.Flushed
	}
	for _, s := range files {
		if err := o.rec.staged(end, s); err != nil {
			return err
		}
	}
	return nil
}

// staged takes one stretch that this directory holds as tables. Staging goes
// from the oldest on, so these stretches follow the bucket's end without a
// hole and come before what is in the WAL files. What the bucket has already,
// or a stretch before, is left out.
func (r *recovery) staged(bucketEnd uint64, s *wal.Staged) error {
	tables, err := stagedTables(s)
	if err != nil {
		return err
	}
	if s.Start > r.end {
		return &CorruptError{Object: s.Path(), Err: fmt.Errorf("starts at %d, the log before it ends at %d", s.Start, r.end)}
	}
	before := len(r.gens)
	switch {
	case s.End <= max(bucketEnd, r.covered) || len(tables) == 0:
	case s.Start >= bucketEnd:
		r.inherit(s, tables)
	default:
		if err := r.unstage(bucketEnd, s, tables); err != nil {
			return err
		}
	}
	r.covered = max(r.covered, s.End)
	if s.Seal != nil {
		if err := r.frame(s.Seal); err != nil {
			return err
		}
	}
	r.close()
	if len(r.gens) == before { // all of it is elsewhere
		r.obsolete = append(r.obsolete, s)
		return nil
	}
	g := r.gens[len(r.gens)-1]
	g.files = append(g.files, s)
	return nil
}

// stagedTables decodes what a staged file says of its bodies.
func stagedTables(s *wal.Staged) ([]segment.Table, error) {
	tables, err := segment.DecodeTables(s.About)
	if err == nil && len(tables) != s.Bodies() {
		err = fmt.Errorf("names %d tables and holds %d", len(tables), s.Bodies())
	}
	if err != nil {
		return nil, &CorruptError{Object: s.Path(), Err: err}
	}
	return tables, nil
}

// inherit takes staged tables as they are. They are read here and get their
// names in the bucket when the flusher comes to them.
func (r *recovery) inherit(s *wal.Staged, tables []segment.Table) {
	r.roll(wal.Header{Segment: s.Segment, SegmentStart: s.SegmentStart, TimeMs: s.OpenedMs})
	r.close()
	r.open()
	g := r.gen
	g.mem, g.inherited, g.staged = nil, tables, &staged{file: s, tables: tables}
	r.end = max(r.end, s.End)
	g.end = r.end
	for _, t := range tables {
		r.seg.bytes += int64(t.KeyBytes + t.ValueBytes)
		r.seg.records += t.Records
		r.last = max(r.last, t.LastMs)
		r.local++
		r.localRecords += t.Records
		r.localBytes += t.KeyBytes + t.ValueBytes
	}
}

// stagedEntry is one entry that becomes a record of a batch again.
type stagedEntry struct {
	seq        uint64
	ms         int64
	last       bool // of its batch
	key, value []byte
}

// unstage turns the part of staged tables that the bucket does not have into
// batches again: at most one stretch at a recovery lies across the bucket's
// end.
func (r *recovery) unstage(bucketEnd uint64, s *wal.Staged, tables []segment.Table) error {
	all, err := stagedEntries(s, tables, bucketEnd)
	if err != nil {
		return err
	}
	for len(all) > 0 {
		n := slices.IndexFunc(all, func(e stagedEntry) bool { return e.last }) + 1
		if n == 0 {
			return &CorruptError{Object: s.Path(), Err: fmt.Errorf("batch at %d does not end", all[0].seq)}
		}
		f := wal.AppendBatch(nil, n, func(i int) (key, value []byte) { return all[i].key, all[i].value })
		f.Stamp(all[0].seq, all[0].ms, s.Segment, s.SegmentStart)
		if err := r.frame(f); err != nil {
			return err
		}
		r.local++
		r.localRecords += uint64(n)
		r.localBytes += uint64(len(f))
		all = all[n:]
	}
	return nil
}

// stagedEntries reads the entries of staged tables at or above from, in
// sequence order.
func stagedEntries(s *wal.Staged, tables []segment.Table, from uint64) (all []stagedEntry, err error) {
	local := newLocalTables(nil)
	local.add(s, tables)
	cache := segment.NewCache(0, 1<<20)
	defer cache.Close()
	for _, t := range tables {
		r, err := cache.Open(context.Background(), local, s.Log(), t)
		if err != nil {
			return nil, err
		}
		it := r.All(context.Background(), segment.EntryOptions{Hint: t.Tail})
		for it.Next() {
			if it.Sequence() < from {
				continue
			}
			all = append(all, stagedEntry{
				seq: it.Sequence(), ms: it.TimeMs(), last: it.Flags()&segment.FlagLastOfBatch != 0,
				key: slices.Clone(it.Key()), value: slices.Clone(it.Value()),
			})
		}
		err = cmp.Or(it.Err(), it.Close(), r.Close())
		if err != nil {
			return nil, fmt.Errorf("logdb: read staged %s: %w", s.Path(), err)
		}
	}
	slices.SortFunc(all, func(a, b stagedEntry) int { return cmp.Compare(a.seq, b.seq) })
	return all, nil
}
