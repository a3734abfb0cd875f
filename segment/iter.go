package segment

import (
	"context"
	"fmt"
	"math"

	"github.com/cockroachdb/pebble/v2/sstable"
)

// EntryIter iterates over entries of one table, in either direction. It begins
// before the first entry: Next goes there, and Last to the other end. It
// belongs to one goroutine.
type EntryIter struct {
	scan
	fixed bool // all entries are of one key
	from  uint64
	has   bool // from is set

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
	it.table = r.table
	it.plan.init(&r.table.file, r.src, o.Hint, 0)
	if base := r.table.self.baseMs; o.HasFromMs && o.FromMs > base {
		it.from, it.has = uint64(o.FromMs)-uint64(base), true
	}
	return it
}

// open starts the scan between the bounds that are set.
func (it *EntryIter) open(ctx context.Context, window int64) {
	it.plan.window = min(max(it.plan.window, window), maxWindow)
	if !it.has {
		it.start(ctx, nil)
		return
	}
	filters := []sstable.BlockPropertyFilter{fromFilter{it.from}}
	filter, err := sstable.IntersectsTable(filters, nil, it.table.sst.UserProperties, nil)
	if err != nil {
		it.err = tableError(it.table.file.name, it.table.file.tailOffset(), err)
	}
	if filter != nil {
		it.start(ctx, filter)
	}
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
	if it.it == nil || it.err != nil {
		return it.end(then)
	}
	for key, value, ok := it.step(m); ok; key, value, ok = it.step(then) {
		if err := it.parse(key, value); err != nil {
			it.err = readError(it.table.file.name, err)
			break
		}
		if !it.has || it.ms >= it.from {
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
		return err
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
		return fmt.Errorf("segment: table %s: entry %.80q/%d: %w", it.table.file.name, it.key, it.seq, err)
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
	it.plan.init(&r.table.file, r.src, 0, minWindow)
	it.start(ctx, nil)
	return it
}

// Next moves to the next row, the first at first, and reports whether there is one.
func (it *ListingIter) Next() bool {
	it.row = nil
	if it.it == nil || it.err != nil {
		return false
	}
	m := moveNext
	if !it.moved {
		m, it.moved = moveFirst, true
	}
	key, row, ok := it.step(m)
	if ok {
		_, it.key, _, it.err = ParseKey(key)
		it.row = row
	}
	if it.err != nil || !ok {
		it.err = readError(it.table.file.name, it.err)
		_ = it.close()
		return false
	}
	return true
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
