package view

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/logdb-go/logdb/listing"
	"github.com/logdb-go/logdb/segment"
)

// Entry is one record as it is read. Its bytes are the caller's.
type Entry struct {
	Key      []byte
	Sequence uint64
	TimeMs   int64
	Value    []byte
}

// Get returns the entry of key at sequence, and whether there is one.
func (v *View) Get(ctx context.Context, key []byte, sequence uint64) (Entry, bool, error) {
	if sequence == math.MaxUint64 {
		return Entry{}, false, nil // an end, never a record's
	}
	it := v.Scan(ctx, key, ScanOptions{Lo: sequence, Hi: sequence + 1})
	defer it.Close()
	if !it.Next() {
		return Entry{}, false, it.Err()
	}
	return Entry{Key: bytes.Clone(key), Sequence: sequence, TimeMs: it.TimeMs(), Value: append([]byte{}, it.Value()...)}, true, nil
}

// Count returns how many entries of key have sequences in [lo, hi): what a
// scan would return. A table that lies inside the range answers with its
// listing; only of one that lies across its ends are entries read. Tables are
// asked side by side: a key of many segments would else wait for two requests to
// each, one after the other.
func (v *View) Count(ctx context.Context, key []byte, lo, hi uint64) (uint64, error) {
	i, j := v.within(lo, hi)
	parts := v.Parts[i:j]
	if lo >= v.recentFrom() {
		parts = v.Recent.Parts
	}
	total, tables := uint64(0), make([]*Part, 0, len(parts))
	for i := range parts {
		switch p := &parts[i]; {
		case p.Mem != nil:
			total += p.countMem(key, lo, hi)
		case p.Table.MayContain(key):
			tables = append(tables, p)
		}
	}
	n, err := v.countTables(ctx, tables, key, lo, hi)
	if err != nil {
		return 0, err
	}
	return total + n, nil
}

func (v *View) countTables(ctx context.Context, tables []*Part, key []byte, lo, hi uint64) (uint64, error) {
	if len(tables) == 1 {
		return v.countTable(ctx, tables[0], key, lo, hi)
	}
	var next, total atomic.Uint64
	asked, ctx := errgroup.WithContext(ctx)
	for range min(len(tables), countsAtOnce) {
		asked.Go(func() error {
			for i := next.Add(1) - 1; i < uint64(len(tables)); i = next.Add(1) - 1 {
				n, err := v.countTable(ctx, tables[i], key, lo, hi)
				if err != nil {
					return err
				}
				total.Add(n)
			}
			return nil
		})
	}
	if err := asked.Wait(); err != nil {
		return 0, err
	}
	return total.Load(), nil
}

// countsAtOnce bounds the tables that one Count asks at one time.
const countsAtOnce = 16

func (p *Part) countMem(key []byte, lo, hi uint64) uint64 {
	lo, hi, ok := p.clip(lo, hi)
	if !ok {
		return 0
	}
	l, _ := p.Mem.Listing(key, lo, hi)
	return l.Records
}

func (v *View) countTable(ctx context.Context, p *Part, key []byte, lo, hi uint64) (uint64, error) {
	if _, _, ok := p.clip(lo, hi); !ok {
		return 0, nil
	}
	if !p.inside(lo, hi) {
		return v.countEntries(ctx, p, key, lo, hi)
	}
	r, ok, err := v.Store.openFor(ctx, p.Table, key)
	if !ok || err != nil {
		return 0, err
	}
	defer r.Close()
	l, _, err := readListing(ctx, p.Table, r, key)
	return l.Records, err
}

func (v *View) countEntries(ctx context.Context, p *Part, key []byte, lo, hi uint64) (uint64, error) {
	r, ok, err := v.Store.openRun(ctx, p, key, &ScanOptions{Lo: lo, Hi: hi}, segment.EntryOptions{})
	if !ok || err != nil {
		return 0, err
	}
	n := uint64(0)
	for r.move(false) {
		n++
	}
	err = r.err()
	if e := r.close(); err == nil {
		err = e
	}
	return n, err
}

// readListing reads the row of key, if the table has one.
func readListing(ctx context.Context, t *segment.Table, r *segment.Reader, key []byte) (listing.Listing, bool, error) {
	row, ok, err := r.Listing(ctx, key)
	if err != nil || !ok {
		return listing.Listing{}, false, tableError(t, err)
	}
	l, err := listing.Decode(row)
	if err != nil {
		return listing.Listing{}, false, tableError(t, fmt.Errorf("decode listing: %w", err))
	}
	return l, true, nil
}
