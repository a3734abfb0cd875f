package memtable

import (
	"sync/atomic"

	"github.com/logdb-go/logdb/listing"
)

// record is the index of one record. It is complete before its number is
// published; afterwards only next changes, once.
type record struct {
	sequence uint64
	sum      uint64 // value bytes of the stream up to and with this record
	frame    uint32
	off      uint32 // of the record in its frame
	depth    uint32 // records of the stream before this one
	prev     uint32
	jump     uint32 // an earlier record of the stream; the first one jumps to itself
	next     atomic.Uint32
}

// stream is the records of one key. first never changes.
type stream struct {
	frame, off uint32 // where the key's bytes lie
	first      uint32
	last       atomic.Uint32
}

// jumpFrom chooses where the successor of tail jumps to: skew-binary jump
// pointers, with which any earlier record is reached in a logarithmic number of
// steps although a record has one pointer only.
func (t *Table) jumpFrom(id uint32, tail *record) uint32 {
	j := t.records.at(tail.jump)
	jj := t.records.at(j.jump)
	if tail.depth-j.depth == j.depth-jj.depth {
		return j.jump
	}
	return id
}

// firstAt returns the first record of s at or above sequence, nil if there is
// none.
func (t *Table) firstAt(s *stream, sequence uint64) *record {
	if first := t.records.at(s.first); first.sequence >= sequence {
		return first
	}
	r := t.records.at(s.last.Load())
	if r.sequence < sequence {
		return nil
	}
	// The first record is below sequence, so the walk never reaches it and
	// every record met has a prev.
	for {
		if j := t.records.at(r.jump); j.sequence >= sequence {
			r = j
			continue
		}
		p := t.records.at(r.prev)
		if p.sequence < sequence {
			return r
		}
		r = p
	}
}

// lastBelow returns the last record of s below sequence, nil if there is none.
func (t *Table) lastBelow(s *stream, sequence uint64) *record {
	r := t.records.at(s.last.Load())
	for r.sequence >= sequence {
		if r.depth == 0 {
			return nil
		}
		if j := t.records.at(r.jump); j.sequence >= sequence {
			r = j
			continue
		}
		r = t.records.at(r.prev)
	}
	return r
}

// listing sums up the records of s in [lo, hi) without walking them.
func (t *Table) listing(s *stream, lo, hi uint64) (listing.Listing, bool) {
	first, last := t.firstAt(s, lo), t.lastBelow(s, hi)
	if first == nil || last == nil || first.sequence > last.sequence {
		return listing.Listing{}, false
	}
	sum := last.sum
	if first.depth > 0 {
		sum -= t.records.at(first.prev).sum
	}
	n := uint64(last.depth-first.depth) + 1
	return listing.Listing{
		Records:    n,
		ValueBytes: sum,
		First:      first.sequence,
		Last:       last.sequence,
		FirstMs:    t.frames.at(first.frame).timeMs,
		LastMs:     t.frames.at(last.frame).timeMs,
	}, true
}
