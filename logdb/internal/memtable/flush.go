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
	warmed  int    // streams before this index were touched
	values  bool   // the walk reads values, not only listings
	sink    uint64 // what touching read, lest the loads be optimised away
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
		if s.at == s.warmed {
			s.warm()
		}
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
// its entries, so whoever builds one walks the keys twice; only where values is
// true are they fetched ahead of the walk.
func (s *Sorted) Rewind(values bool) { s.at, s.warmed, s.key, s.values = 0, 0, nil, values }

// warmStreams is how many streams are touched ahead of the walk.
const warmStreams = 32

// warm touches the records of the next streams. In key order neighbours lie
// anywhere, so each record costs waits for memory that, one record after the
// other, add up; in loops of independent loads they overlap.
func (s *Sorted) warm() {
	next := s.streams[s.at:min(s.at+warmStreams, len(s.streams))]
	s.warmed = s.at + len(next)
	for _, id := range next {
		s.sink += uint64(s.t.streams.at(id).first)
	}
	for _, id := range next {
		st := s.t.streams.at(id)
		s.sink += uint64(s.t.records.at(st.first).off) + uint64(s.t.records.at(st.last.Load()).off)
	}
	for _, id := range next {
		st := s.t.streams.at(id)
		if !s.values {
			s.sink += uint64(s.t.frames.at(st.frame).data[st.off])
			continue
		}
		r := s.t.records.at(st.first)
		for n := 0; n < 4 && r != nil; n++ {
			s.touch(r)
			r = s.after(r)
		}
	}
}

// touch reads one byte of each cache line of a short record.
func (s *Sorted) touch(r *record) {
	const line, short = 64, 512
	data := s.t.frames.at(r.frame).data
	for off := int(r.off); off < min(int(r.off)+short, len(data)); off += line {
		s.sink += uint64(data[off])
	}
}

func (s *Sorted) after(r *record) *record {
	id := r.next.Load()
	if id == 0 {
		return nil
	}
	return s.t.records.at(id)
}
