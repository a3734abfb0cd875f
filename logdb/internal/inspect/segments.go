package inspect

import (
	"bytes"
	"container/heap"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/logdb-go/logdb/listing"
	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/segment"
)

// segments checks the tables of the manifest, one segment at a time.
func (c *checker) segments() error {
	last := int64(math.MinInt64) // time of the last record so far
	for i := range c.m.Segments {
		s := &c.m.Segments[i]
		c.n.Segments++
		if err := c.segment(s); err != nil {
			return err
		}
		for j := range s.Tables {
			t := &s.Tables[j]
			if t.FirstMs < last {
				if err := c.found(t.Name(), 0, "first time %d ms, an earlier segment ends with %d", t.FirstMs, last); err != nil {
					return err
				}
			}
			if t.LastMs > s.LastMs || t.LastMs > c.m.LastMs {
				err := c.found(segment.ManifestName, 0, "last time of table %s is %d ms; of its segment %d, of the log %d", t.Name(), t.LastMs, s.LastMs, c.m.LastMs)
				if err != nil {
					return err
				}
			}
		}
		last = max(last, s.LastMs)
	}
	return nil
}

func (c *checker) segment(s *segment.Segment) error {
	window := window{segment: s.ID, start: s.Start, end: c.m.Flushed}
	if s.Sealed {
		window.end = s.End
	}
	var records, size uint64
	for i := range s.Tables {
		records += s.Tables[i].Records
		size += s.Tables[i].KeyBytes + s.Tables[i].ValueBytes
	}
	if records != s.Records || size != s.Bytes {
		err := c.found(segment.ManifestName, 0, "segment %d: %d records and %d bytes, its tables have %d and %d", s.ID, s.Records, s.Bytes, records, size)
		if err != nil {
			return err
		}
	}
	return c.tables(s.Tables, window, tableNamed)
}

// window is what the entries of some tables must lie in.
type window struct{ segment, start, end uint64 }

func (w window) String() string {
	return fmt.Sprintf("segment %d, [%d, %d)", w.segment, w.start, w.end)
}

// tables checks tables that stand in concatenation order: each by itself, and
// then against each other. named says how to tell that the log has dropped one
// that is gone.
func (c *checker) tables(tables []segment.Table, w window, named func(string) func(*segment.Manifest) bool) error {
	seen := newSequences()
	whole := true
	for i := range tables {
		t := &tables[i]
		c.n.Tables++
		c.n.Records += t.Records
		problem, err := c.table(t, w, seen)
		if err != nil {
			return err
		}
		if problem == nil {
			continue
		}
		whole = false
		if err := c.unread(t, problem, named); err != nil {
			return err
		}
	}
	if !whole {
		return nil // what else is wrong would follow from that
	}
	if at, before, after, bad := seen.timesFall(); bad {
		err := c.found(fmt.Sprintf("seg/%010d", w.segment), 0, "times fall near sequence %d: from %d ms to %d", at, before, after)
		if err != nil {
			return err
		}
	}
	return c.order(tables)
}

// unread decides what it means that a table could not be read.
func (c *checker) unread(t *segment.Table, problem error, named func(string) func(*segment.Manifest) bool) error {
	name := t.Name()
	switch {
	case errors.Is(problem, objstore.ErrNotFound):
		return c.gone(name, named(name))
	case errors.Is(problem, io.ErrUnexpectedEOF):
		// The object ends early, which the listing will tell too, or a connection did.
		if size, err := sizeOf(c.ctx, c.bucket, name); err == nil && size != t.Size {
			return nil
		}
	}
	return c.failed(name, problem)
}

// order checks that the entries of each key ascend over the tables: scans
// concatenate and never merge. It goes by listings, which are known to be true.
func (c *checker) order(tables []segment.Table) (err error) {
	if len(tables) < 2 {
		return nil
	}
	var rows rowHeap
	defer func() {
		for _, r := range rows {
			r.close()
		}
	}()
	for i := range tables {
		r, err := c.openRows(i, &tables[i])
		if err != nil {
			return c.failed(tables[i].Name(), err)
		}
		if r != nil {
			rows = append(rows, r)
		}
	}
	heap.Init(&rows)
	var key []byte
	last, begun := uint64(0), false
	for len(rows) > 0 {
		r := rows[0]
		if begun && bytes.Equal(r.it.Key(), key) {
			if r.l.First <= last {
				return c.found(tables[r.table].Name(), 0, "key %.80q begins at %d, a table before it ends with %d", key, r.l.First, last)
			}
		} else {
			key, begun = append(key[:0], r.it.Key()...), true
		}
		last = r.l.Last
		more, err := r.next()
		if err != nil {
			return c.failed(tables[r.table].Name(), err)
		}
		if more {
			heap.Fix(&rows, 0)
		} else {
			heap.Pop(&rows)
			r.close()
		}
	}
	return nil
}

// openRows stands on the first row of a table, or returns nil if the table has
// left the log since it was checked.
func (c *checker) openRows(i int, t *segment.Table) (*rowsOf, error) {
	reader, err := c.cache.Open(c.ctx, c.bucket, c.m.Log, *t)
	if errors.Is(err, objstore.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	r := &rowsOf{table: i, reader: reader, it: reader.Listings(c.ctx, nil)}
	more, err := r.next()
	if !more || err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

// rowsOf walks the listing rows of one table.
type rowsOf struct {
	table  int // its place in the order
	reader *segment.Reader
	it     *segment.ListingIter
	l      listing.Listing
}

func (r *rowsOf) next() (ok bool, err error) {
	if !r.it.Next() {
		return false, r.it.Err()
	}
	r.l, err = listing.Decode(r.it.Row())
	return err == nil, err
}

func (r *rowsOf) close() {
	_ = r.it.Close()
	_ = r.reader.Close()
}

// rowHeap orders by key, then by the tables' order.
type rowHeap []*rowsOf

func (h rowHeap) Len() int { return len(h) }

func (h rowHeap) Less(i, j int) bool {
	if c := bytes.Compare(h[i].it.Key(), h[j].it.Key()); c != 0 {
		return c < 0
	}
	return h[i].table < h[j].table
}

func (h rowHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *rowHeap) Push(x any)   { *h = append(*h, x.(*rowsOf)) }

func (h *rowHeap) Pop() any {
	old := *h
	r := old[len(old)-1]
	*h = old[:len(old)-1]
	return r
}
