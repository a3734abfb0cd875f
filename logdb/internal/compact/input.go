package compact

import (
	"bytes"
	"container/heap"
	"context"
	"fmt"

	"github.com/logdb-go/logdb/listing"
	"github.com/logdb-go/logdb/logdb/internal/view"
	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/segment"
)

// input is one table that is being merged: its listing rows run ahead of its
// entries by what one output holds.
type input struct {
	index   int
	table   *segment.Table
	reader  *segment.Reader
	rows    listing.Source
	entries *segment.EntryIter
	started bool // entries were moved
	on      bool // entries stand on one
}

func openInput(ctx context.Context, store *view.Store, t *segment.Table, index int, ahead int64) (*input, error) {
	r, err := store.Cache.Open(ctx, store.Source, store.Log, *t)
	if err != nil {
		return nil, readError(t, err)
	}
	r.BoundReadAhead(ahead)
	o := segment.EntryOptions{Hint: t.Tail, Steady: true}
	return &input{
		index: index, table: t, reader: r,
		rows: listing.FromTable(r.Listings(ctx, nil)), entries: r.All(ctx, o),
	}, nil
}

func (in *input) close() error {
	err := in.rows.Close()
	if e := in.entries.Close(); err == nil {
		err = e
	}
	in.reader.Close()
	return readError(in.table, err)
}

// copyTo writes the entries of p and holds them against their listing: what
// the two disagree on would be lost or doubled without a trace.
func (in *input) copyTo(w *segment.Writer, p *piece) error {
	in.start()
	it, n := in.entries, uint64(0)
	for in.on && bytes.Equal(it.Key(), p.key) {
		if err := w.Add(p.key, it.Sequence(), it.TimeMs(), it.Flags(), it.Payload()); err != nil {
			return err
		}
		n++
		in.on = it.Next()
	}
	if err := it.Err(); err != nil {
		return readError(in.table, err)
	}
	if want := p.row.Records + p.row.Control; n != want {
		return in.mismatch(fmt.Errorf("entries of key %.80q: got %d, want the %d of its listing", p.key, n, want))
	}
	return nil
}

// start moves to the first entry, not before it is wanted.
func (in *input) start() {
	if !in.started {
		in.started = true
		in.on = in.entries.Next()
	}
}

// finished checks that no entry is left over.
func (in *input) finished() error {
	in.start()
	if err := in.entries.Err(); err != nil {
		return readError(in.table, err)
	}
	if in.on {
		return in.mismatch(fmt.Errorf("entries of key %.80q: got some, want none without a listing", in.entries.Key()))
	}
	return nil
}

func (in *input) mismatch(err error) error {
	return &objstore.CorruptError{Object: in.table.Name(), Err: err}
}

func readError(t *segment.Table, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("compact: read table %s: %w", t.Name(), err)
}

// rowHeap holds the inputs by the key of their listing row, and for one key in
// concatenation order.
type rowHeap struct{ inputs inputsByKey }

func (h *rowHeap) len() int      { return len(h.inputs) }
func (h *rowHeap) first() *input { return h.inputs[0] }

// add takes an input in, unless it has no rows.
func (h *rowHeap) add(in *input) error {
	if in.rows.Next() {
		heap.Push(&h.inputs, in)
	}
	return readError(in.table, in.rows.Err())
}

// advance moves the first input to its next row.
func (h *rowHeap) advance() error {
	in := h.inputs[0]
	if in.rows.Next() {
		heap.Fix(&h.inputs, 0)
		return nil
	}
	heap.Pop(&h.inputs)
	return readError(in.table, in.rows.Err())
}

type inputsByKey []*input

func (h inputsByKey) Len() int      { return len(h) }
func (h inputsByKey) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

func (h inputsByKey) Less(i, j int) bool {
	if c := bytes.Compare(h[i].rows.Key(), h[j].rows.Key()); c != 0 {
		return c < 0
	}
	return h[i].index < h[j].index
}

func (h *inputsByKey) Push(x any) { *h = append(*h, x.(*input)) }

func (h *inputsByKey) Pop() any {
	old := *h
	in := old[len(old)-1]
	*h = old[:len(old)-1]
	return in
}
