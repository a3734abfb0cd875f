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

// openRun opens the entries of key in part p that options leave. It reports
// false, without a run and after as little reading as shows it, if there are
// none.
func (s *Store) openRun(ctx context.Context, p *Part, key []byte, o *ScanOptions, e segment.EntryOptions) (run, bool, error) {
	if !p.mayHave(key, o) {
		return run{}, false, nil
	}
	if p.Mem != nil {
		lo, hi, _ := p.clip(o.Lo, o.Hi)
		if o.HasFromMs {
			lo = max(lo, p.Mem.SequenceAt(o.FromMs))
		}
		return run{mem: p.Mem.Scan(key, lo, hi), open: true}, true, nil
	}
	r, ok, err := s.openFor(ctx, p.Table, key)
	if !ok || err != nil {
		return run{}, false, err
	}
	return runOf(ctx, p, r, key, o, e), true, nil
}

// runOf is the run of a table that is open, and has an entry of key perhaps.
func runOf(ctx context.Context, p *Part, r *segment.Reader, key []byte, o *ScanOptions, e segment.EntryOptions) run {
	lo, hi, _ := p.clip(o.Lo, o.Hi)
	e.FromMs, e.HasFromMs = o.FromMs, o.HasFromMs
	return run{table: p.Table, reader: r, entries: r.Entries(ctx, key, lo, hi, true, e), open: true}
}

// mayHave says whether the bounds of the part leave anything to read.
func (p *Part) mayHave(key []byte, o *ScanOptions) bool {
	if _, _, ok := p.clip(o.Lo, o.Hi); !ok {
		return false
	}
	return p.Mem != nil || p.Table.MayContain(key) && !(o.HasFromMs && p.Table.LastMs < o.FromMs)
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
