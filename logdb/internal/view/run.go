package view

import (
	"context"

	"github.com/logdb-go/logdb/logdb/internal/memtable"
	"github.com/logdb-go/logdb/segment"
)

// run is one key's entries in one part. The zero run is closed.
type run struct {
	table   *segment.Table // nil in a memtable
	reader  *segment.Reader
	entries *segment.EntryIter
	mem     memtable.Iter
	open    bool
	moved   bool
}

// timeBound is the lower bound of a scan in time, if there is one.
type timeBound struct {
	ms  int64
	has bool
}

// openRun opens the entries of key in part p with sequences in [lo, hi). It
// reports false, without a run and after as little reading as shows it, if
// there are none.
func (s *Store) openRun(ctx context.Context, p *Part, key []byte, lo, hi uint64, from timeBound, hint int64) (run, bool, error) {
	lo, hi, ok := p.clip(lo, hi)
	if !ok {
		return run{}, false, nil
	}
	if p.Mem != nil {
		if from.has {
			lo = max(lo, p.Mem.SequenceAt(from.ms))
		}
		return run{mem: p.Mem.Scan(key, lo, hi), open: true}, true, nil
	}
	if !p.Table.MayContain(key) || from.has && p.Table.LastMs < from.ms {
		return run{}, false, nil
	}
	r, ok, err := s.openFor(ctx, p.Table, key)
	if !ok || err != nil {
		return run{}, false, err
	}
	o := segment.EntryOptions{FromMs: from.ms, HasFromMs: from.has, Hint: hint}
	return run{table: p.Table, reader: r, entries: r.Entries(ctx, key, lo, hi, true, o), open: true}, true, nil
}

// openFor opens a table unless its filter says that it has no entry of key.
func (s *Store) openFor(ctx context.Context, t *segment.Table, key []byte) (*segment.Reader, bool, error) {
	r, err := s.Cache.Open(ctx, s.Source, s.Log, *t)
	if err != nil {
		return nil, false, tableError(t, err)
	}
	ok, err := r.MayContain(key)
	if !ok || err != nil {
		r.Close()
		return nil, false, tableError(t, err)
	}
	return r, true, nil
}

// move steps to the next data entry in the given direction.
func (r *run) move(reverse bool) bool {
	if r.table == nil {
		if reverse {
			return r.mem.Prev()
		}
		return r.mem.Next()
	}
	for r.step(reverse) {
		if r.entries.Flags().Kind() == 0 {
			return true
		}
	}
	return false
}

func (r *run) step(reverse bool) bool {
	first := !r.moved
	r.moved = true
	switch {
	case !reverse:
		return r.entries.Next()
	case first:
		return r.entries.Last()
	default:
		return r.entries.Prev()
	}
}

func (r *run) sequence() uint64 {
	if r.table == nil {
		return r.mem.Sequence()
	}
	return r.entries.Sequence()
}

func (r *run) timeMs() int64 {
	if r.table == nil {
		return r.mem.TimeMs()
	}
	return r.entries.TimeMs()
}

func (r *run) value() []byte {
	if r.table == nil {
		return r.mem.Value()
	}
	return r.entries.Value()
}

// err is why move returned false, nil at the end of the run.
func (r *run) err() error {
	if r.table == nil {
		return nil
	}
	return tableError(r.table, r.entries.Err())
}

func (r *run) close() error {
	if !r.open || r.table == nil {
		*r = run{}
		return nil
	}
	err := r.entries.Close()
	r.reader.Close()
	t := r.table
	*r = run{}
	return tableError(t, err)
}
