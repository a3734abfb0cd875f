package memtable

import "github.com/logdb-go/logdb/listing"

// Sorted walks the keys of a table in ascending order, and for each key its
// records in ascending sequence: what a table builder reads. It belongs to one
// goroutine and shows the records in the range it was made for, whatever is
// applied meanwhile.
type Sorted struct {
	t       *Table
	streams []uint32
	lo, hi  uint64
	at      int
	key     []byte
	listing listing.Listing
}

// Flush returns all records below the table's present end, by key.
func (t *Table) Flush() *Sorted { return t.FlushRange(t.start, t.End()) }

// FlushRange returns the records with sequences in [lo, hi), by key. Sorting
// is done once for a table, however often and in however many pieces it is
// flushed.
func (t *Table) FlushRange(lo, hi uint64) *Sorted {
	return &Sorted{t: t, streams: t.sorted(), lo: lo, hi: hi}
}

// Next moves to the next key that has records and reports whether there is one.
func (s *Sorted) Next() bool {
	for s.at < len(s.streams) {
		st := s.t.streams.at(s.streams[s.at])
		s.at++
		key := s.t.keyOf(st)
		if l, ok := s.t.listing(st, s.lo, s.hi); ok {
			s.key, s.listing = key, l
			return true
		}
	}
	s.key = nil
	return false
}

// Key is the present key. It aliases a frame: valid while referenced.
func (s *Sorted) Key() []byte { return s.key }

// Listing sums up the records of the present key.
func (s *Sorted) Listing() listing.Listing { return s.listing }

// Entries returns the records of the present key.
func (s *Sorted) Entries() Iter {
	return Iter{t: s.t, s: s.t.streams.at(s.streams[s.at-1]), lo: s.lo, hi: s.hi}
}

// Rewind goes back before the first key. A table has its listing rows before
// its entries, so whoever builds one walks the keys twice.
func (s *Sorted) Rewind() { s.at, s.key = 0, nil }
