package memtable

import "hash/maphash"

// Iter walks the records of one key. It belongs to one goroutine, needs no
// closing, and a copy of it is an iterator of its own. Before the first move it
// stands on no record: Next moves to the first, Prev to the last. After a move
// that returned false it stands on no record and stays so until First or Last.
type Iter struct {
	t      *Table
	s      *stream
	lo, hi uint64
	r      *record
	moved  bool
}

// Scan returns an iterator over the records of key with sequences in [lo, hi).
func (t *Table) Scan(key []byte, lo, hi uint64) Iter {
	return Iter{t: t, s: t.find(maphash.Bytes(t.seed, key), key), lo: lo, hi: hi}
}

// First moves to the first record and reports whether there is one.
func (it *Iter) First() bool {
	it.moved = true
	if it.s == nil {
		return false
	}
	it.r = it.t.firstAt(it.s, it.lo)
	return it.keepInside()
}

// Last moves to the last record and reports whether there is one.
func (it *Iter) Last() bool {
	it.moved = true
	if it.s == nil {
		return false
	}
	it.r = it.t.lastBelow(it.s, it.hi)
	return it.keepInside()
}

// Next moves to the following record and reports whether there is one.
func (it *Iter) Next() bool {
	if !it.moved {
		return it.First()
	}
	if it.r == nil {
		return false
	}
	return it.move(it.r.next.Load())
}

// Prev moves to the record before this one and reports whether there is one.
func (it *Iter) Prev() bool {
	if !it.moved {
		return it.Last()
	}
	if it.r == nil {
		return false
	}
	return it.move(it.r.prev)
}

func (it *Iter) move(id uint32) bool {
	it.r = nil
	if id != 0 {
		it.r = it.t.records.at(id)
	}
	return it.keepInside()
}

func (it *Iter) keepInside() bool {
	if it.r == nil || it.r.sequence < it.lo || it.r.sequence >= it.hi {
		it.r = nil
	}
	return it.r != nil
}

// Sequence is the sequence of the record. Like the other accessors it may be
// called only after a move that returned true.
func (it *Iter) Sequence() uint64 { return it.r.sequence }

// TimeMs is the time of the record in milliseconds since the epoch.
func (it *Iter) TimeMs() int64 { return it.t.frames.at(it.r.frame).timeMs }

// LastOfBatch tells that the record ends its batch.
func (it *Iter) LastOfBatch() bool { return it.r.sequence+1 == it.t.frames.at(it.r.frame).end }

// Key returns the record's key. The bytes alias the frame: they never change
// and stay valid for as long as they are referenced.
func (it *Iter) Key() []byte {
	key, _ := it.t.frames.at(it.r.frame).data.At(it.r.off)
	return key
}

// Value returns the record's value, under the same terms as Key.
func (it *Iter) Value() []byte {
	_, value := it.t.frames.at(it.r.frame).data.At(it.r.off)
	return value
}
