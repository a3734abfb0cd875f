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
	var total atomic.Uint64
	asked, ctx := errgroup.WithContext(ctx)
	asked.SetLimit(countsAtOnce)
	for i := range parts {
		if p := &parts[i]; p.Mem != nil || p.Table.MayContain(key) {
			asked.Go(func() error {
				n, err := v.countPart(ctx, p, key, lo, hi)
				total.Add(n)
				return err
			})
		}
	}
	if err := asked.Wait(); err != nil {
		return 0, err
	}
	return total.Load(), nil
}

// countsAtOnce bounds the tables that one Count asks at one time.
const countsAtOnce = 16

func (v *View) countPart(ctx context.Context, p *Part, key []byte, lo, hi uint64) (uint64, error) {
	if p.Mem != nil {
		lo, hi, ok := p.clip(lo, hi)
		if !ok {
			return 0, nil
		}
		l, _ := p.Mem.Listing(key, lo, hi)
		return l.Records, nil
	}
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
