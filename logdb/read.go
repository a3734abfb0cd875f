package logdb

import (
	"context"
	"time"
)

// LogRead is what [LogDb] and [LogDbReader] share. All methods are safe for
// concurrent use; ctx bounds the whole life of an iterator. A request that the
// bucket does not answer is given up after 30 s, and more for large ones, and
// made again until ctx ends; an answer that is an error is returned.
type LogRead interface {
	// Scan reads the retained entries of key in r, in sequence order. Errors
	// are reported by the iterator.
	Scan(ctx context.Context, key []byte, r Range, o ScanOptions) *Iterator
	// Follow reads the entries of key from a sequence on and then waits for
	// more, without gap or repeat, until ctx ends: Next blocks, and reports
	// false with ctx's error. Reverse is not possible.
	Follow(ctx context.Context, key []byte, from uint64, o ScanOptions) *Iterator
	// Get returns one entry; ErrNotFound if the key has no record with that
	// sequence, *TrimmedError if retention removed it.
	Get(ctx context.Context, key []byte, sequence uint64) (Entry, error)
	// Count returns how many entries Scan would return. It reads listings, not
	// data, wherever a table lies wholly inside the range.
	Count(ctx context.Context, key []byte, r Range) (uint64, error)
	// ListKeys streams the keys of some segments in byte order, each once.
	ListKeys(ctx context.Context, o KeyOptions) *KeyIterator
	// ListSegments returns the retained segments whose sequences overlap r,
	// oldest first.
	ListSegments(ctx context.Context, r Range) ([]Segment, error)
	// Inspect says how the entries of key in r lie over tables, and what a
	// scan of them would cost.
	Inspect(ctx context.Context, key []byte, r Range) (Inspection, error)
	// Frontier is exclusive: every retained record below it is readable here.
	Frontier() uint64
}

var (
	_ LogRead = (*LogDb)(nil)
	_ LogRead = (*LogDbReader)(nil)
)

// ScanOptions: the zero value reads forward, without limit, at the log's
// visibility.
type ScanOptions struct {
	Reverse    bool
	Records    Bound      // entries returned
	Bytes      Bound      // value bytes; the entry that crosses it is the last
	FromTime   time.Time  // skips entries appended before; the zero Time skips none
	Visibility Durability // LogDb only: Applied or Remote
	Strict     bool       // *TrimmedError if the range starts below what retention kept
}

// KeyOptions: the zero value lists every key of every retained segment.
type KeyOptions struct {
	Segments   Range  // segment numbers
	Prefix     []byte // nil or empty: every key
	After      []byte // keys strictly greater; nil: from the first (the empty key included)
	Limit      Bound  // keys returned
	Visibility Durability
}

// Key is one key of a listing, over the segments that were asked for.
type Key struct {
	Key               []byte // valid until the iterator's next move
	Count, ValueBytes uint64
	First, Last       uint64    // sequences of its first and last retained record
	LastTime          time.Time // append time of its last record
}

// Segment is a window of the sequence space over all keys.
type Segment struct {
	ID             uint64
	Sequences      Range // bounded once sealed
	Opened, Last   time.Time
	Records, Bytes uint64 // bytes of keys and values
	Sealed         bool
	Metadata       []byte // what SealSegment was given
}

// Inspection says how a key's entries lie.
type Inspection struct {
	Records  uint64 // entries in the range
	Requests uint64 // object reads that the scan would cost now, at most: cached data makes it fewer
	Tables   []TableInspection
}

// TableInspection is one table that may hold entries of the key.
type TableInspection struct {
	Segment                uint64
	Table                  string // object name
	Records, Blocks, Bytes uint64 // entries in the range; data blocks and their bytes in the object
	FilterHit              bool   // the filter says that the key may be there
	IndexInMemory          bool   // index and filter are cached
}
