package view

import (
	"context"

	"github.com/logdb-go/logdb/listing"
	"github.com/logdb-go/logdb/segment"
)

// tableKeys is the keys of one table that have entries in [lo, hi). It stands
// on its first key once it is open, so that tables can be opened side by side
// while whoever merges them moves one after the other.
type tableKeys struct {
	ctx    context.Context
	store  *Store
	part   *Part
	lo, hi uint64

	reader  *segment.Reader
	rows    listing.Source
	first   bool // the first move is made and was not asked for yet
	found   bool // what it found
	listing listing.Listing
	err     error
}

func (s *tableKeys) open(from []byte) error {
	r, err := s.store.Cache.Open(s.ctx, s.store.Source, s.store.Log, *s.part.Table)
	if err != nil {
		s.err = tableError(s.part.Table, err)
		return s.err
	}
	s.reader, s.rows = r, listing.FromTable(r.Listings(s.ctx, from))
	s.found = s.advance()
	s.first = true
	return s.err
}

// Next implements listing.Source.
func (s *tableKeys) Next() bool {
	if s.first {
		s.first = false
		return s.found
	}
	return s.err == nil && s.rows != nil && s.advance()
}

// advance moves to the next row that says something about [lo, hi). A row that
// lies across an end is replaced by what its entries say.
func (s *tableKeys) advance() bool {
	for s.rows.Next() {
		l := s.rows.Listing()
		if l.First >= s.lo && l.Last < s.hi {
			s.listing = l
			return true
		}
		if l.Last < s.lo || l.First >= s.hi {
			continue
		}
		l, ok, err := s.recount(s.rows.Key())
		if err != nil {
			s.err = tableError(s.part.Table, err)
			return false
		}
		if ok {
			s.listing = l
			return true
		}
	}
	s.err = tableError(s.part.Table, s.rows.Err())
	return false
}

// recount sums up entries where a row says too much.
func (s *tableKeys) recount(key []byte) (l listing.Listing, ok bool, err error) {
	it := s.reader.Entries(s.ctx, key, s.lo, s.hi, true, segment.EntryOptions{})
	defer it.Close()
	for it.Next() {
		one := listing.Listing{
			Records: 1, ValueBytes: uint64(len(it.Value())),
			First: it.Sequence(), Last: it.Sequence(), FirstMs: it.TimeMs(), LastMs: it.TimeMs(),
		}
		if it.Flags().Kind() != 0 {
			one.Records, one.Control = 0, 1
		}
		if !ok {
			l, ok = one, true
			continue
		}
		l.Merge(one)
	}
	return l, ok, it.Err()
}

// Key implements listing.Source.
func (s *tableKeys) Key() []byte { return s.rows.Key() }

// Listing implements listing.Source.
func (s *tableKeys) Listing() listing.Listing { return s.listing }

// Err implements listing.Source.
func (s *tableKeys) Err() error { return s.err }

// Close implements listing.Source.
func (s *tableKeys) Close() error {
	if s.reader == nil {
		return nil
	}
	err := s.rows.Close()
	s.reader.Close()
	s.reader, s.rows, s.first = nil, nil, false
	return tableError(s.part.Table, err)
}
