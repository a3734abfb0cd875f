package segment

import (
	"context"
	"fmt"
	"math"
)

// EntryIter iterates over entries of one table, in either direction. It begins
// before the first entry: Next goes there, and Last to the other end. It
// belongs to one goroutine.
type EntryIter struct {
	scan
	fixed bool // all entries are of one key
	pass  bool // over the whole table

	key      []byte
	seq, ms  uint64 // ms above the table's base
	flags    Flags
	rest     []byte // TLVs and value
	value    []byte
	position position
}

// position of an iterator.
type position uint8

const (
	unmoved position = iota
	onEntry
	pastLast
	beforeFirst
)

func (r *Reader) newEntryIter(o EntryOptions) *EntryIter {
	it := &EntryIter{}
	it.table, it.ahead.ahead = r.table, o.Ahead
	if o.Steady {
		it.ahead.ahead = steady()
	}
	if base := r.table.self.baseMs; o.HasFromMs && o.FromMs > base {
		it.fromMs = uint64(o.FromMs) - uint64(base)
	}
	return it
}

// open starts the scan between the bounds that are set.
func (it *EntryIter) open(ctx context.Context, r *Reader, window int64) {
	if it.fromMs > it.table.span.msHi {
		return
	}
	if it.pass {
		it.bypass()
	}
	it.start(ctx, r, window)
}

// First moves to the first entry and reports whether there is one.
func (it *EntryIter) First() bool { return it.walk(moveFirst, moveNext) }

// Last moves to the last entry and reports whether there is one.
func (it *EntryIter) Last() bool { return it.walk(moveLast, movePrev) }

// Next moves to the next entry and reports whether there is one.
func (it *EntryIter) Next() bool {
	switch it.position {
	case onEntry:
		return it.walk(moveNext, moveNext)
	case pastLast:
		return false
	default:
		return it.First()
	}
}

// Prev moves to the entry before and reports whether there is one. There is
// none before the first move; after Next has returned false it is the last.
func (it *EntryIter) Prev() bool {
	switch it.position {
	case onEntry:
		return it.walk(movePrev, movePrev)
	case pastLast:
		return it.Last()
	default:
		return false
	}
}

// walk makes a move and then goes on until it stands on an entry to be shown.
func (it *EntryIter) walk(m, then move) bool {
	if it.cursor == nil || it.err != nil {
		return it.end(then)
	}
	for key, value, ok := it.step(m); ok; key, value, ok = it.step(then) {
		if err := it.parse(key, value); err != nil {
			it.err = err
			break
		}
		if it.ms >= it.fromMs {
			it.position = onEntry
			return true
		}
	}
	return it.end(then)
}

func (it *EntryIter) end(direction move) bool {
	it.position = pastLast
	if direction == movePrev {
		it.position = beforeFirst
	}
	it.rest, it.value = nil, nil
	return false
}

func (it *EntryIter) parse(key, value []byte) (err error) {
	if it.fixed {
		it.seq = suffixOf(key)
	} else if _, it.key, it.seq, err = ParseKey(key); err != nil {
		return tableError(it.table.name, it.ahead.last.lo, err)
	}
	if it.flags, it.ms, it.rest, err = parseEntry(value); err == nil {
		it.value = it.rest
		if it.flags&FlagTLVs != 0 {
			_, it.value, err = CutTLVs(it.rest)
		}
	}
	if err == nil && it.ms > uint64(math.MaxInt64)-uint64(it.table.self.baseMs) {
		err = fmt.Errorf("time %d ms above base %d: %w", it.ms, it.table.self.baseMs, errEntry)
	}
	if err != nil {
		return tableError(it.table.name, it.ahead.last.lo, fmt.Errorf("entry %.80q/%d: %w", it.key, it.seq, err))
	}
	return nil
}

// Key is the entry's key, valid until the next move.
func (it *EntryIter) Key() []byte { return it.key }

// Sequence is the entry's sequence.
func (it *EntryIter) Sequence() uint64 { return it.seq }

// TimeMs is the entry's time in ms since 1970.
func (it *EntryIter) TimeMs() int64 { return int64(it.ms + uint64(it.table.self.baseMs)) }

// Flags are the entry's flags.
func (it *EntryIter) Flags() Flags { return it.flags }

// Value is the entry's value, without attributes, valid until the next move.
func (it *EntryIter) Value() []byte { return it.value }

// Payload is attributes and value as Writer.Add takes them, valid until the
// next move: a merge passes it on without looking.
func (it *EntryIter) Payload() []byte { return it.rest }

// Err is why a move returned false; nil at either end.
func (it *EntryIter) Err() error { return it.err }

// Close gives back what the iterator holds and returns Err. It may be called
// more than once; moves after it return false.
func (it *EntryIter) Close() error { return it.close() }

// ListingIter iterates over listing rows of one table, in ascending order of
// their keys. It belongs to one goroutine.
type ListingIter struct {
	scan
	moved    bool
	key, row []byte
}

func (r *Reader) newListingIter(ctx context.Context, lower, upper []byte) *ListingIter {
	it := &ListingIter{}
	it.table, it.lower, it.upper = r.table, lower, upper
	it.start(ctx, r, MinWindow)
	return it
}

// Next moves to the next row, the first at first, and reports whether there is one.
func (it *ListingIter) Next() bool {
	it.row = nil
	if it.cursor == nil || it.err != nil {
		return false
	}
	m := moveNext
	if !it.moved {
		m, it.moved = moveFirst, true
	}
	key, row, ok := it.step(m)
	if ok {
		it.row = row
		if _, it.key, _, it.err = ParseKey(key); it.err == nil {
			return true
		}
		it.err = tableError(it.table.name, it.ahead.last.lo, it.err)
	}
	_ = it.close()
	return false
}

// Key is the row's key, valid until the next move.
func (it *ListingIter) Key() []byte { return it.key }

// Row is the row's bytes, valid until the next move.
func (it *ListingIter) Row() []byte { return it.row }

// Err is why Next returned false; nil at the end.
func (it *ListingIter) Err() error { return it.err }

// Close gives back what the iterator holds and returns Err. It may be called
// more than once.
func (it *ListingIter) Close() error { return it.close() }
